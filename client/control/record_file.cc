// Writes to a second name and renames: a daemon killed in between leaves the old text.

#include "client/control/record_file.hh"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "common/linux/text_file.hh"

namespace holdfast::client {

bool server_can_fence(const DeviceRecord& record, const LiveState& live) noexcept {
    return (record.server_flags & nbd::flag_read_only) == 0 && live.session_known;
}

std::string given_up_name(const DeviceRecord& record) {
    const std::string_view start = shortened(record.identifier);
    return fmt::format("nbd{}-{}{}", record.index, start.substr(start.find(':') + 1), given_up_suffix);
}

Result<RecordFile> RecordFile::open(const DeviceRecord& record, const char* folder) {
    RecordFile file;
    file.directory_.reset(::open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!file.directory_) return sys_error("open /run/holdfast");
    file.name_ = fmt::format("nbd{}.state", record.index);
    file.draft_ = file.name_ + ".new";
    file.given_up_ = given_up_name(record);
    file.unchanging_ = to_lines(record);
    return file;
}

Result<void> RecordFile::save(const LiveState& live) noexcept {
    const Fd file(::openat(directory_.get(), draft_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!file) return sys_error("open in /run/holdfast");
    LiveLines lines;
    add_lines(lines, live);
    const std::array parts{iovec{unchanging_.data(), unchanging_.size()},
                           iovec{const_cast<char*>(lines.view().data()), lines.view().size()}};
    const auto all = static_cast<ssize_t>(unchanging_.size() + lines.view().size());
    if (::writev(file.get(), parts.data(), parts.size()) != all) return sys_error("write in /run/holdfast");
    struct stat own {};
    if (::fstat(file.get(), &own) != 0) return sys_error("stat in /run/holdfast");
    if (::renameat(directory_.get(), draft_.c_str(), directory_.get(), name_.c_str()) != 0)
        return sys_error("rename in /run/holdfast");
    inode_ = own.st_ino;
    return {};
}

Result<void> RecordFile::leave_behind(const LiveState& live) noexcept {
    if (auto saved = save(live); !saved) return saved;
    if (::renameat(directory_.get(), name_.c_str(), directory_.get(), given_up_.c_str()) != 0)
        return sys_error("rename in /run/holdfast");
    return {};
}

void RecordFile::remove() noexcept {
    struct stat present {};
    if (::fstatat(directory_.get(), name_.c_str(), &present, AT_SYMLINK_NOFOLLOW) == 0 &&
        present.st_ino == inode_)
        ::unlinkat(directory_.get(), name_.c_str(), 0);
}

Result<PublicFile> PublicFile::open(std::uint32_t index, const char* folder) {
    PublicFile file;
    file.directory_.reset(::open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!file.directory_) return sys_error("open /run/holdfast");
    file.name_ = fmt::format("nbd{}.status", index);
    file.draft_ = file.name_ + ".new";
    return file;
}

Result<void> PublicFile::publish(std::string_view lines) noexcept {
    ::unlinkat(directory_.get(), draft_.c_str(), 0);  // left by a daemon that died while writing
    Fd file(::openat(directory_.get(), draft_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file) return sys_error("open in /run/holdfast");
    // Locks the file before another process can open and lock it.
    struct flock whole {};
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    if (::fcntl(file.get(), F_OFD_SETLK, &whole) != 0) return sys_error("lock in /run/holdfast");
    if (::write(file.get(), lines.data(), lines.size()) != static_cast<ssize_t>(lines.size()))
        return sys_error("write in /run/holdfast");
    if (::fchmod(file.get(), 0644) != 0) return sys_error("chmod in /run/holdfast");
    if (::renameat(directory_.get(), draft_.c_str(), directory_.get(), name_.c_str()) != 0)
        return sys_error("rename in /run/holdfast");
    file_ = std::move(file);
    return {};
}

void PublicFile::remove() noexcept {
    struct stat present {};
    struct stat own {};
    if (file_ && ::fstat(file_.get(), &own) == 0 &&
        ::fstatat(directory_.get(), name_.c_str(), &present, AT_SYMLINK_NOFOLLOW) == 0 &&
        present.st_ino == own.st_ino)
        ::unlinkat(directory_.get(), name_.c_str(), 0);
    file_.reset();
}

Result<PublicReading> read_public_file(std::uint32_t index, const char* folder) {
    const std::string path = fmt::format("{}/nbd{}.status", folder, index);
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!file) return sys_error("open");
    struct flock whole {};
    whole.l_type = F_RDLCK;
    whole.l_whence = SEEK_SET;
    if (::fcntl(file.get(), F_OFD_GETLK, &whole) != 0) return sys_error("check the lock");
    auto text = read_to_end(file.get(), std::string::npos);
    if (!text) return std::unexpected(text.error());
    return PublicReading{std::move(*text), whole.l_type == F_WRLCK};
}

Result<std::string> read_state_file(std::uint32_t index, const char* folder) {
    const std::string path = fmt::format("{}/nbd{}.state", folder, index);
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return sys_error("open");
    return read_to_end(file.get(), std::string::npos);
}

bool carries_root(std::uint32_t index) {
    const auto text = read_state_file(index);
    if (!text) return false;
    const auto known = read_known_device(*text);
    return known && known->record.carries_root;
}

}  // namespace holdfast::client
