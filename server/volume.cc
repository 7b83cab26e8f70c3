// Opening, exclusively or only to look, and what all kinds of volume do alike.

#include "server/volume.hh"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>

#include "server/block_volume.hh"
#include "server/disk_identity.hh"
#include "server/file_volume.hh"
#include "server/holders.hh"

namespace holdfast::server {
namespace {

using Opened = std::expected<Fd, VolumeRefusal>;

std::unexpected<VolumeRefusal> failure(const std::string& path, const SysError& error) {
    std::string text = fmt::format("{}: {}", path, error.message());
    // The server may have given up root's rights: the user that it is now is what has to be looked at.
    if (error.code == EACCES) text += fmt::format(" for user {}", ::geteuid());
    return std::unexpected(VolumeRefusal{error.code == ENOENT, std::move(text)});
}

std::unexpected<VolumeRefusal> busy(const std::string& path, const std::string& holder) {
    return std::unexpected(VolumeRefusal{false, fmt::format("{} is in use: {}", path, holder)});
}

Opened open_block_device(const VolumeRequest& request, dev_t device) {
    const int flags = request.writable ? O_RDWR | O_EXCL : O_RDONLY;
    Fd file(::open(request.path.c_str(), flags | O_CLOEXEC));
    if (file) return file;
    const SysError error{errno, "open"};
    if (error.code == EBUSY) return busy(request.path, holder_of_device(device));
    return failure(request.path, error);
}

// An OFD lock on the whole file: held by the open file and not by the process, seen by every other server
// that locks.
bool lock_for_writing(int file) {
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    return ::fcntl(file, F_OFD_SETLK, &lock) == 0;
}

Opened open_file(const VolumeRequest& request, const struct stat& status) {
    Fd file(::open(request.path.c_str(), (request.writable ? O_RDWR : O_RDONLY) | O_CLOEXEC));
    if (!file) return failure(request.path, SysError{errno, "open"});
    if (request.writable && !lock_for_writing(file.get())) {
        const SysError error{errno, "fcntl(F_OFD_SETLK)"};
        if (error.code == EAGAIN || error.code == EACCES) return busy(request.path, holder_of_file(status));
        return failure(request.path, error);
    }
    return file;
}

std::unexpected<VolumeRefusal> wrong_kind(const std::string& path) {
    return std::unexpected(
        VolumeRefusal{false, fmt::format("{} is neither a block device nor a regular file", path)});
}

}  // namespace

Result<struct stat> Volume::status() const {
    struct stat status {};
    if (::fstat(fd(), &status) != 0) return sys_error("fstat");
    return status;
}

Result<std::string> Volume::identity() const { return disk_identity(fd()); }

Result<void> Volume::read(std::span<std::uint8_t> into, std::uint64_t offset) const {
    while (!into.empty()) {
        const ssize_t count = ::pread(fd(), into.data(), into.size(), static_cast<off_t>(offset));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return sys_error("pread");
        if (count == 0) return std::unexpected(SysError{EIO, "pread beyond the end"});
        into = into.subspan(static_cast<std::size_t>(count));
        offset += static_cast<std::uint64_t>(count);
    }
    return {};
}

Result<void> Volume::write(std::span<const std::uint8_t> from, std::uint64_t offset, bool durable) {
    while (!from.empty()) {
        // pwritev2 takes its data only as if it might write to them.
        const iovec data{const_cast<std::uint8_t*>(from.data()), from.size()};
        const ssize_t count = ::pwritev2(fd(), &data, 1, static_cast<off_t>(offset), durable ? RWF_DSYNC : 0);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && durable) {
            const SysError error{errno, "pwritev2(RWF_DSYNC)"};
            // The failure may be that of an earlier write, whose error is now taken and would not be told to
            // a flush.
            flush_lost_ = true;
            return std::unexpected(error);
        }
        if (count < 0) return sys_error("pwritev2");
        if (count == 0) return std::unexpected(SysError{EIO, "pwritev2 of nothing"});
        from = from.subspan(static_cast<std::size_t>(count));
        offset += static_cast<std::uint64_t>(count);
    }
    return {};
}

Result<void> Volume::flush() {
    while (!flush_lost_ && ::fdatasync(fd()) != 0) {
        if (errno == EINTR) continue;
        const SysError error{errno, "fdatasync"};
        flush_lost_ = true;
        return std::unexpected(error);
    }
    // Also when ours succeeded: of several at once, the kernel tells only one that a write was lost.
    if (flush_lost_) return std::unexpected(SysError{EIO, "an earlier fdatasync"});
    return {};
}

Result<void> Volume::write_zeroes(std::uint64_t offset, std::uint64_t length) {
    static std::uint8_t zeroes[256 << 10];  // never written to
    while (length > 0) {
        const std::size_t count = std::min<std::uint64_t>(length, sizeof zeroes);
        if (const Result<void> written = write({zeroes, count}, offset, false); !written) return written;
        offset += count;
        length -= count;
    }
    return {};
}

std::expected<void, VolumeRefusal> create_missing_file(const VolumeRequest& request) {
    struct stat status {};
    if (request.create_size == 0 || ::stat(request.path.c_str(), &status) == 0 || errno != ENOENT) return {};
    if (request.path.starts_with("/dev/")) {
        return std::unexpected(VolumeRefusal{true, fmt::format("{}: there is no such device", request.path)});
    }
    const Fd file(::open(request.path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file && errno == EEXIST) return {};  // another client was faster
    if (!file) return failure(request.path, SysError{errno, "open"});
    if (::ftruncate(file.get(), static_cast<off_t>(request.create_size)) != 0) {
        const SysError error{errno, "ftruncate"};
        ::unlink(request.path.c_str());
        return failure(request.path, error);
    }
    return {};
}

std::expected<std::unique_ptr<Volume>, VolumeRefusal> open_volume(const VolumeRequest& request) {
    struct stat status {};
    if (::stat(request.path.c_str(), &status) != 0) {
        const SysError error{errno, "stat"};
        return failure(request.path, error);
    }
    if (!S_ISBLK(status.st_mode) && !S_ISREG(status.st_mode)) return wrong_kind(request.path);
    const bool block = S_ISBLK(status.st_mode);
    Opened file = block ? open_block_device(request, status.st_rdev) : open_file(request, status);
    if (!file) return std::unexpected(file.error());
    // What was opened, and not what stood at the path a moment ago.
    if (::fstat(file->get(), &status) != 0) return failure(request.path, SysError{errno, "fstat"});
    if (S_ISBLK(status.st_mode) != block) return wrong_kind(request.path);
    if (block) return std::make_unique<BlockVolume>(std::move(*file), status.st_rdev);
    return std::make_unique<FileVolume>(std::move(*file), request.writable);
}

std::expected<VolumeTraits, VolumeRefusal> look_at_volume(const VolumeRequest& request) {
    struct stat status {};
    if (::stat(request.path.c_str(), &status) != 0) {
        const SysError error{errno, "stat"};
        if (error.code == ENOENT && request.create_size != 0)
            return VolumeTraits{.size = request.create_size};
        return failure(request.path, error);
    }
    if (!S_ISBLK(status.st_mode) && !S_ISREG(status.st_mode)) return wrong_kind(request.path);
    // A device only for reading: closing one that was open for writing makes udev probe it.
    const bool for_writing = S_ISREG(status.st_mode) && request.writable;
    Fd file(::open(request.path.c_str(), (for_writing ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK));
    if (!file) return failure(request.path, SysError{errno, "open"});
    if (::fstat(file.get(), &status) != 0) return failure(request.path, SysError{errno, "fstat"});
    Result<VolumeTraits> traits = S_ISBLK(status.st_mode)
                                      ? BlockVolume(std::move(file), status.st_rdev).traits()
                                      : FileVolume(std::move(file), for_writing).traits();
    if (!traits) return failure(request.path, traits.error());
    return *traits;
}

}  // namespace holdfast::server
