// sysvinit's sendsigs does not know systemd's mark, the '@' of the title.

#include "client/process/sendsigs_omit.hh"

#include <errno.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

namespace holdfast::client {
namespace {

constexpr const char* omit_directory = "/run/sendsigs.omit.d";

}  // namespace

Result<OmitFile> OmitFile::open(std::uint32_t index, std::string_view process) {
    if (::mkdir(omit_directory, 0755) != 0 && errno != EEXIST) return sys_error("mkdir /run/sendsigs.omit.d");
    OmitFile file;
    file.directory_.reset(::open(omit_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!file.directory_) return sys_error("open /run/sendsigs.omit.d");
    file.name_ = fmt::format("holdfast-nbd{}{}{}", index, process.empty() ? "" : "-", process);
    return file;
}

Result<void> OmitFile::enter() noexcept {
    const Fd entry(::openat(directory_.get(), name_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!entry) return sys_error("open in /run/sendsigs.omit.d");
    const auto text = FixedText<16>::of("{}\n", ::getpid());
    if (::write(entry.get(), text.view().data(), text.view().size()) < 0)
        return sys_error("write in /run/sendsigs.omit.d");
    return {};
}

void OmitFile::remove() noexcept {
    const Fd entry(::openat(directory_.get(), name_.c_str(), O_RDONLY | O_CLOEXEC));
    std::array<char, 32> text{};
    if (!entry || ::read(entry.get(), text.data(), text.size() - 1) <= 0) return;
    if (::strtol(text.data(), nullptr, 10) == ::getpid()) ::unlinkat(directory_.get(), name_.c_str(), 0);
}

}  // namespace holdfast::client
