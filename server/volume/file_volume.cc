// Regular file operations: holes.

#include "server/volume/file_volume.hh"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>

namespace holdfast::server {
namespace {

// Calls fallocate(2), which a signal may end early on some file systems.
bool change_space(int file, int how, std::uint64_t offset, std::uint64_t length) {
    for (;;) {
        const int result = ::fallocate(file, how | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                                       static_cast<off_t>(length));
        if (result == 0 || errno != EINTR) return result == 0;
    }
}

// Offset alignment for O_DIRECT: available since Linux 6.1, and not from every file system. No disk needs
// more than 4096.
std::uint32_t direct_alignment(int file) {
    struct statx status {};
    const int result = ::statx(file, "", AT_EMPTY_PATH, STATX_DIOALIGN, &status);
    const bool known = result == 0 && (status.stx_mask & STATX_DIOALIGN) != 0;
    return known && std::has_single_bit(status.stx_dio_offset_align) ? status.stx_dio_offset_align : 4096;
}

// st_blocks counts units of 512 bytes, whatever the file system's block size.
bool lacks_space(int file) {
    struct stat status {};
    return ::fstat(file, &status) == 0 && status.st_blocks < status.st_size / 512;
}

}  // namespace

FileVolume::FileVolume(OpenedDisk disk)
    : Volume(std::move(disk.files), std::move(disk.facts.identity)),
      writable_(disk.facts.writable),
      sparse_(lacks_space(fd())) {}

Result<VolumeTraits> FileVolume::traits() const {
    struct stat status {};
    if (::fstat(fd(), &status) != 0) return sys_error("fstat");
    VolumeTraits traits;
    traits.size = static_cast<std::uint64_t>(status.st_size);
    traits.read_only = !writable_;
    if (always_waits()) traits.minimum_block = direct_alignment(fd());
    traits.preferred_block = std::max(traits.preferred_block, traits.minimum_block);
    // Probes with a hole beyond the end of the file, which changes nothing and fails if the file system has
    // no holes.
    if (writable_) {
        traits.can_trim = change_space(fd(), FALLOC_FL_PUNCH_HOLE, (traits.size | 0xffff) + 1, 4096);
    }
    return traits;
}

Result<void> FileVolume::trim(std::uint64_t offset, std::uint64_t length) {
    if (length == 0) return {};
    sparse_.store(true, std::memory_order_relaxed);
    const bool done = change_space(fd(), FALLOC_FL_PUNCH_HOLE, offset, length);
    note_change();
    if (done || errno == EOPNOTSUPP) return {};
    return sys_error("fallocate(PUNCH_HOLE)");
}

// Operations on the file system's block map are fast; EOPNOTSUPP means that the file system cannot zero that
// way.
Result<void> FileVolume::zero(std::uint64_t offset, std::uint64_t length, ZeroHow how) {
    if (length == 0) return {};
    sparse_.store(true, std::memory_order_relaxed);
    // A network file system may drop the pages before the server replies that it cannot zero.
    if (const Result<void> written = write_out(offset, length); !written) return written;
    const int change = how.may_unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;
    const bool done = change_space(fd(), change, offset, length);
    note_change();
    if (done) return {};
    if (errno != EOPNOTSUPP)
        return sys_error(how.may_unmap ? "fallocate(PUNCH_HOLE)" : "fallocate(ZERO_RANGE)");
    if (how.fast) return std::unexpected(SysError{EOPNOTSUPP, "fast zeroes"});
    return write_zeroes(offset, length);
}

Result<Extent> FileVolume::extent_at(std::uint64_t offset, std::uint64_t length) const {
    const std::uint64_t end = offset + length;
    const off_t data = ::lseek(fd(), static_cast<off_t>(offset), SEEK_DATA);
    if (data < 0 && errno == ENXIO) {  // no data up to the end; the file may have been truncated
        struct stat status {};
        if (::fstat(fd(), &status) != 0) return sys_error("fstat");
        if (end > static_cast<std::uint64_t>(status.st_size))
            return std::unexpected(SysError{EIO, "lseek beyond the end"});
        return Extent{length, true};
    }
    if (data < 0 && errno == EINVAL) return Extent{length, false};  // a file system without holes
    if (data < 0) return sys_error("lseek(SEEK_DATA)");
    const auto start = static_cast<std::uint64_t>(data);
    if (start > offset) return Extent{std::min(start, end) - offset, true};
    const off_t hole = ::lseek(fd(), data, SEEK_HOLE);
    if (hole < 0) return sys_error("lseek(SEEK_HOLE)");
    // Another process may have punched a hole here since SEEK_DATA; the range was data a moment ago.
    const auto stop = std::clamp(static_cast<std::uint64_t>(hole), offset, end);
    return Extent{stop > offset ? stop - offset : length, false};
}

}  // namespace holdfast::server
