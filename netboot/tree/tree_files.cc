// Calls of the kernel, each checked.

#include "netboot/tree/tree_files.hh"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "common/linux/folder.hh"
#include "common/linux/text_file.hh"

namespace holdfast::netboot {
namespace {

constexpr mode_t folder_mode = 0755;
constexpr mode_t file_mode = 0644;

std::string folder_above(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string::npos ? "." : path.substr(0, std::max<std::size_t>(slash, 1));
}

Result<void> sync_folder(const std::string& path) {
    const Fd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder) return sys_error("open");
    if (::fsync(folder.get()) != 0) return sys_error("fsync");
    return {};
}

Result<void> write_all(int file, std::string_view text) {
    while (!text.empty()) {
        const ssize_t count = ::write(file, text.data(), text.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return sys_error("write");
        text.remove_prefix(static_cast<std::size_t>(count));
    }
    return {};
}

// Mode and stable storage; the umask of the administrator must not hide the file from the TFTP server.
Result<void> complete(int file) {
    if (::fchmod(file, file_mode) != 0) return sys_error("fchmod");
    if (::fsync(file) != 0) return sys_error("fsync");
    return {};
}

Result<void> write_draft(int file, std::string_view text) {
    if (auto written = write_all(file, text); !written) return written;
    return complete(file);
}

Result<void> copy_all(int from, int to) {
    char chunk[65536];
    for (;;) {
        const ssize_t count = ::read(from, chunk, sizeof chunk);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return sys_error("read");
        if (count == 0) return complete(to);
        if (auto written = write_all(to, {chunk, static_cast<std::size_t>(count)}); !written) return written;
    }
}

}  // namespace

Result<std::optional<std::string>> read_if_there(const std::string& path) {
    auto text = read_text_file(path, largest_file);
    if (text) return std::optional(std::move(*text));
    if (text.error().code == ENOENT || text.error().code == ENOTDIR) return std::nullopt;
    return std::unexpected(text.error());
}

Result<std::string> read_start(const std::string& path, std::size_t most) {
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!file) return sys_error("open");
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) return sys_error("fstat");
    if (!S_ISREG(status.st_mode)) return std::unexpected(SysError{EINVAL, "open"});
    std::string text(most, '\0');
    const ssize_t count = ::pread(file.get(), text.data(), text.size(), 0);
    if (count < 0) return sys_error("read");
    text.resize(static_cast<std::size_t>(count));
    return text;
}

Result<void> make_folders(const std::string& path) {
    if (::mkdir(path.c_str(), folder_mode) == 0) {
        if (::chmod(path.c_str(), folder_mode) != 0) return sys_error("chmod");
        return sync_folder(folder_above(path));
    }
    if (errno == EEXIST) return {};
    if (errno != ENOENT || path.find('/') == std::string::npos) return sys_error("mkdir");
    if (auto above = make_folders(folder_above(path)); !above) return above;
    if (::mkdir(path.c_str(), folder_mode) != 0) return sys_error("mkdir");
    if (::chmod(path.c_str(), folder_mode) != 0) return sys_error("chmod");
    return {};
}

Result<void> put_file(const std::string& path, std::string_view text) {
    const std::string folder = folder_above(path);
    if (auto made = make_folders(folder); !made) return made;
    std::string draft = folder + "/.holdfast-draft.XXXXXX";
    const Fd out(::mkostemp(draft.data(), O_CLOEXEC));
    if (!out) return sys_error("mkostemp");
    auto put = write_draft(out.get(), text);
    if (put && ::rename(draft.c_str(), path.c_str()) != 0) put = sys_error("rename");
    if (!put) {
        ::unlink(draft.c_str());
        return put;
    }
    return sync_folder(folder);
}

Result<void> copy_new_file(const std::string& from, const std::string& to) {
    const Fd in(::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (!in) return sys_error("open");
    const Fd out(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, file_mode));
    if (!out) return sys_error("open");
    return copy_all(in.get(), out.get());
}

Result<void> remove_file(const std::string& path) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return sys_error("unlink");
    return {};
}

Result<void> remove_folder(const std::string& path) {
    for (const std::string& name : names_in(path))
        if (auto removed = remove_file(path + "/" + name); !removed) return removed;
    if (::rmdir(path.c_str()) != 0 && errno != ENOENT) return sys_error("rmdir");
    return {};
}

Result<void> remove_empty_folder(const std::string& path) {
    if (::rmdir(path.c_str()) != 0 && errno != ENOENT && errno != ENOTEMPTY) return sys_error("rmdir");
    return {};
}

Result<void> rename_folder(const std::string& from, const std::string& to) {
    if (::chmod(from.c_str(), folder_mode) != 0) return sys_error("chmod");
    if (auto synced = sync_folder(from); !synced) return synced;
    if (::rename(from.c_str(), to.c_str()) != 0) return sys_error("rename");
    return sync_folder(folder_above(to));
}

Result<Fd> lock_tree(const std::string& path) {
    Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!file) return sys_error("open");
    while (::flock(file.get(), LOCK_EX) != 0)
        if (errno != EINTR) return sys_error("flock");
    return file;
}

}  // namespace holdfast::netboot
