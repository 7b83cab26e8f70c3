// Every name is looked up in an open folder, with O_NOFOLLOW.

#include "netboot/tree/spool.hh"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/linux/text_file.hh"
#include "common/protocol/boot_manifest.hh"
#include "netboot/tree/tree_files.hh"

namespace holdfast::netboot {
namespace {

constexpr const char* mark = "/.committed";
constexpr const char* mark_of_work = "/.taking";
constexpr const char* manifest_name = "manifest";
constexpr const char* published_name = "published";
constexpr const char* published_draft = ".published.draft";
constexpr mode_t published_mode = 0644;

Result<Fd> open_regular(int folder, const char* name) {
    Fd file(::openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
    if (!file) return sys_error("open");
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) return sys_error("fstat");
    if (!S_ISREG(status.st_mode)) return std::unexpected(SysError{EINVAL, "open"});
    return file;
}

Result<std::optional<std::string>> read_text(int folder, const char* name, std::size_t most) {
    const auto file = open_regular(folder, name);
    if (!file && file.error().code == ENOENT) return std::nullopt;
    if (!file) return std::unexpected(file.error());
    auto text = read_to_end(file->get(), most);
    if (!text) return std::unexpected(text.error());
    return std::move(*text);
}

Result<void> write_published(int file, std::string_view text) {
    const ssize_t count = ::write(file, text.data(), text.size());
    if (count < 0) return sys_error("write");
    if (static_cast<std::size_t>(count) != text.size()) return std::unexpected(SysError{ENOSPC, "write"});
    if (::fchmod(file, published_mode) != 0) return sys_error("fchmod");
    if (::fsync(file) != 0) return sys_error("fsync");
    return {};
}

}  // namespace

Result<Fd> Spool::open_folder(std::string_view export_name) const {
    const Fd spool(::open(folder_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!spool) return sys_error("open");
    Fd folder(::openat(spool.get(), nbd::boot_folder_name(export_name).c_str(),
                       O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
    if (!folder) return sys_error("open");
    return folder;
}

Result<void> Spool::take_mark() const {
    const int renamed = ::rename((folder_ + mark).c_str(), (folder_ + mark_of_work).c_str());
    if (renamed != 0 && errno != ENOENT) return sys_error("rename");
    return {};
}

Result<void> Spool::remove_mark() const {
    if (::unlink((folder_ + mark_of_work).c_str()) != 0 && errno != ENOENT) return sys_error("unlink");
    return {};
}

Result<void> Spool::keep_mark() const {
    const Fd file(::open((folder_ + mark_of_work).c_str(),
                         O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
    if (!file && errno != ENOENT) return sys_error("open");
    return {};
}

Result<std::optional<std::string>> Spool::manifest(std::string_view export_name) const {
    const auto folder = open_folder(export_name);
    if (!folder && folder.error().code == ENOENT) return std::nullopt;
    if (!folder) return std::unexpected(folder.error());
    return read_text(folder->get(), manifest_name, nbd::longest_boot_manifest);
}

Result<void> Spool::copy(std::string_view export_name, const std::string& sum, std::uint64_t size,
                         const std::string& to) const {
    const auto folder = open_folder(export_name);
    if (!folder) return std::unexpected(folder.error());
    const auto file = open_regular(folder->get(), sum.c_str());
    if (!file) return std::unexpected(file.error());
    return copy_known_file(file->get(), to, size, sum);
}

bool Spool::has_published(std::string_view export_name, std::string_view text) const {
    const auto folder = open_folder(export_name);
    if (!folder) return false;
    const auto before = read_text(folder->get(), published_name, nbd::longest_boot_published);
    return before && *before && **before == text;
}

Result<void> Spool::publish(std::string_view export_name, std::string_view text) const {
    if (has_published(export_name, text)) return {};
    const auto folder = open_folder(export_name);
    if (!folder) return std::unexpected(folder.error());
    if (::unlinkat(folder->get(), published_draft, 0) != 0 && errno != ENOENT) return sys_error("unlink");
    const Fd draft(::openat(folder->get(), published_draft,
                            O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, published_mode));
    if (!draft) return sys_error("open");
    if (auto written = write_published(draft.get(), text); !written) return written;
    if (::renameat(folder->get(), published_draft, folder->get(), published_name) != 0)
        return sys_error("rename");
    if (::fsync(folder->get()) != 0) return sys_error("fsync");
    return {};
}

}  // namespace holdfast::netboot
