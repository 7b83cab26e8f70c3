// Calls of the kernel, each checked.

#include "netboot/tree/tree_files.hh"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <memory>

#include "common/linux/text_file.hh"
#include "common/text/hex.hh"
#include "common/text/sha256.hh"

namespace holdfast::netboot {
namespace {

constexpr mode_t folder_mode = 0755;
constexpr mode_t file_mode = 0644;

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

// Hands each piece of a file to `take`, until the end or an error.
Result<void> read_pieces(int from, const std::function<Result<void>(std::string_view)>& take) {
    char chunk[65536];
    for (;;) {
        const ssize_t count = ::read(from, chunk, sizeof chunk);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return sys_error("read");
        if (count == 0) return {};
        if (auto taken = take({chunk, static_cast<std::size_t>(count)}); !taken) return taken;
    }
}

Result<void> copy_all(int from, int to) {
    if (auto copied = read_pieces(from, [to](std::string_view piece) { return write_all(to, piece); });
        !copied)
        return copied;
    return complete(to);
}

std::string digits_of(Sha256& sum) {
    const auto digest = sum.finish();
    return hex_of(digest.data(), digest.size());
}

constexpr std::string_view draft_start = ".holdfast-draft.";

// Sorted names that `wanted` accepts; none if there is no folder.
Result<std::vector<std::string>> names_with(const std::string& path, bool (*wanted)(std::string_view name)) {
    std::vector<std::string> names;
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(path.c_str()), &::closedir);
    if (!stream && errno == ENOENT) return names;
    if (!stream) return sys_error("opendir");
    for (;;) {
        errno = 0;
        const dirent* const entry = ::readdir(stream.get());
        if (entry == nullptr && errno != 0) return sys_error("readdir");
        if (entry == nullptr) break;
        if (wanted(entry->d_name)) names.emplace_back(static_cast<const char*>(entry->d_name));
    }
    std::ranges::sort(names);
    return names;
}

}  // namespace

std::string folder_above(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string::npos ? "." : path.substr(0, std::max<std::size_t>(slash, 1));
}

Result<bool> is_there(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0) return true;
    if (errno == ENOENT) return false;
    return sys_error("stat");
}

Result<std::vector<std::string>> list_folder(const std::string& path) {
    return names_with(path, [](std::string_view name) { return name[0] != '.'; });
}

Result<std::optional<std::string>> read_if_there(const std::string& path) {
    auto text = read_text_file(path, largest_file);
    if (text) return std::optional(std::move(*text));
    if (text.error().code == ENOENT) return std::nullopt;
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
    std::string draft = fmt::format("{}/{}XXXXXX", folder, draft_start);
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

Result<void> copy_known_file(int from, const std::string& to, std::uint64_t size, std::string_view sum) {
    const Fd out(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, file_mode));
    if (!out) return sys_error("open");
    Sha256 found;
    std::uint64_t left = size;
    auto copied = read_pieces(from, [&](std::string_view piece) -> Result<void> {
        if (piece.size() > left) return std::unexpected(SysError{EBADMSG, "read"});
        left -= piece.size();
        found.add(piece);
        return write_all(out.get(), piece);
    });
    if (!copied) return copied;
    if (left != 0 || digits_of(found) != sum) return std::unexpected(SysError{EBADMSG, "read"});
    return complete(out.get());
}

Result<std::string> sum_of_file(const std::string& path) {
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (!file) return sys_error("open");
    Sha256 sum;
    const auto read = read_pieces(file.get(), [&](std::string_view piece) {
        sum.add(piece);
        return Result<void>();
    });
    if (!read) return std::unexpected(read.error());
    return digits_of(sum);
}

Result<void> sync_folder(const std::string& path) {
    const Fd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!folder) return sys_error("open");
    if (::fsync(folder.get()) != 0) return sys_error("fsync");
    return {};
}

Result<void> make_draft_folder(const std::string& path) {
    if (auto removed = remove_folder(path); !removed) return removed;
    if (auto made = make_folders(folder_above(path)); !made) return made;
    if (::mkdir(path.c_str(), 0700) != 0) return sys_error("mkdir");
    return {};
}

Result<void> remove_drafts(const std::string& folder) {
    const auto names =
        names_with(folder, [](std::string_view name) { return name.starts_with(draft_start); });
    if (!names) return std::unexpected(names.error());
    for (const std::string& name : *names)
        if (auto removed = remove_file(folder + "/" + name); !removed) return removed;
    return {};
}

Result<void> remove_file(const std::string& path) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) return sys_error("unlink");
    return {};
}

Result<void> remove_folder(const std::string& path) {
    const auto names = list_folder(path);
    if (!names) return std::unexpected(names.error());
    for (const std::string& name : *names)
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
