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

std::unexpected<VolumeRefusal> open_failure(const VolumeRequest& request, const SysError& error) {
    if (error.code != EINVAL || !request.direct) return failure(request.path, error);
    return std::unexpected(VolumeRefusal{
        false, fmt::format("{} cannot be used without the page cache (O_DIRECT); choose cache = writeback or "
                           "writethrough",
                           request.path)});
}

int open_flags(const VolumeRequest& request) {
    return (request.writable ? O_RDWR : O_RDONLY) | (request.direct ? O_DIRECT : 0) | O_CLOEXEC;
}

Opened open_block_device(const VolumeRequest& request, dev_t device) {
    Fd file(::open(request.path.c_str(), open_flags(request) | (request.writable ? O_EXCL : 0)));
    if (file) return file;
    const SysError error{errno, "open"};
    if (error.code == EBUSY) return busy(request.path, holder_of_device(device));
    return open_failure(request, error);
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
    Fd file(::open(request.path.c_str(), open_flags(request)));
    if (!file) return open_failure(request, SysError{errno, "open"});
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

bool is_same(int file, const struct stat& other) {
    struct stat status {};
    if (::fstat(file, &status) != 0 || (status.st_mode & S_IFMT) != (other.st_mode & S_IFMT)) return false;
    if (S_ISBLK(other.st_mode)) return status.st_rdev == other.st_rdev;
    return status.st_dev == other.st_dev && status.st_ino == other.st_ino;
}

std::unique_ptr<Volume> make_volume(VolumeFiles files, const struct stat& status, bool writable) {
    if (S_ISBLK(status.st_mode)) return std::make_unique<BlockVolume>(std::move(files), status.st_rdev);
    return std::make_unique<FileVolume>(std::move(files), writable);
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
        note_change();
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && durable) {
            const SysError error{errno, "pwritev2(RWF_DSYNC)"};
            losses_->add(error.code);
            flusher_.flush(*losses_);  // which has the same news
            return std::unexpected(error);
        }
        if (count < 0) return sys_error("pwritev2");
        if (count == 0) return std::unexpected(SysError{EIO, "pwritev2 of nothing"});
        from = from.subspan(static_cast<std::size_t>(count));
        offset += static_cast<std::uint64_t>(count);
    }
    return {};
}

void Volume::begin_writing(std::shared_ptr<DiskLosses> losses) {
    losses_ = std::move(losses);
    flusher_.flush(*losses_);
}

void Volume::end_writing() {
    if (unflushed_.exchange(false)) flusher_.flush(*losses_);
}

void Volume::note_change() noexcept {
    if (!unflushed_.load(std::memory_order_relaxed)) unflushed_ = true;
}

Result<void> Volume::flush(const Writer& writer) {
    unflushed_ = false;
    flusher_.flush(*losses_);
    return writer.check();
}

Result<Extent> Volume::extent_at(std::uint64_t /*offset*/, std::uint64_t length) const {
    return Extent{length, false};
}

// In steps, since the kernel reads ahead no more at once than the device's read_ahead_kb, and drops the rest
// of what it was asked.
Result<void> Volume::cache(std::uint64_t offset, std::uint64_t length) const {
    constexpr std::uint64_t step = 128U << 10;
    if (direct_) return {};
    while (length > 0) {
        const std::uint64_t count = std::min(length, step);
        const int error =
            ::posix_fadvise(fd(), static_cast<off_t>(offset), static_cast<off_t>(count), POSIX_FADV_WILLNEED);
        if (error != 0) return std::unexpected(SysError{error, "posix_fadvise(WILLNEED)"});
        offset += count;
        length -= count;
    }
    return {};
}

Result<void> Volume::write_zeroes(std::uint64_t offset, std::uint64_t length) {
    alignas(data_alignment) static std::uint8_t zeroes[256 << 10];  // never written to
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
    Fd again(::open(request.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!again) return failure(request.path, SysError{errno, "open"});
    if (!is_same(again.get(), status)) {
        return std::unexpected(
            VolumeRefusal{false, fmt::format("{} was replaced while it was opened", request.path)});
    }
    return make_volume({std::move(*file), std::move(again), request.direct}, status, request.writable);
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
    const Result<VolumeTraits> traits =
        make_volume({std::move(file), Fd(), request.direct}, status, for_writing)->traits();
    if (!traits) return failure(request.path, traits.error());
    return *traits;
}

}  // namespace holdfast::server
