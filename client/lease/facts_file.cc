// Writes to a hidden second name and renames: a reader finds the old text or the new.

#include "client/lease/facts_file.hh"

#include <errno.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

namespace holdfast::client {

Result<FactsFile> FactsFile::open(std::string_view folder, std::string_view interface) {
    const std::string path = fmt::format("{}/facts", folder);
    if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) return sys_error("mkdir facts");
    FactsFile file;
    file.directory_.reset(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!file.directory_) return sys_error("open facts");
    file.name_ = fmt::format("{}.renewed", interface);
    file.draft_ = fmt::format(".{}.new", interface);
    return file;
}

Result<void> FactsFile::publish(const FactsText& text) noexcept {
    if (text == last_) return {};
    const Fd file(::openat(directory_.get(), draft_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!file) return sys_error("open");
    const std::string_view bytes = text.view();
    if (::write(file.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
        return sys_error("write");
    if (::renameat(directory_.get(), draft_.c_str(), directory_.get(), name_.c_str()) != 0)
        return sys_error("rename");
    last_ = text;
    return {};
}

}  // namespace holdfast::client
