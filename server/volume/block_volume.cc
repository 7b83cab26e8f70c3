// Block device operations: size, queue limits, discarding and zeroing of whole blocks.

#include "server/volume/block_volume.hh"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

namespace holdfast::server {
namespace {

// Uses the page size: for less, the kernel would have to drop parts of cached pages, and devices discard no
// less anyway.
std::uint64_t granularity() {
    static const long page = ::sysconf(_SC_PAGESIZE);
    return static_cast<std::uint64_t>(std::max(page, 4096L));
}

}  // namespace

Aligned whole_blocks(std::uint64_t offset, std::uint64_t length, std::uint64_t block) noexcept {
    const std::uint64_t head = (block - offset % block) % block;
    if (head >= length) return {length, 0, 0};
    const std::uint64_t tail = (length - head) % block;
    return {head, length - head - tail, tail};
}

Result<VolumeTraits> BlockVolume::traits() const {
    VolumeTraits traits;
    if (::ioctl(fd(), BLKGETSIZE64, &traits.size) != 0) return sys_error("ioctl(BLKGETSIZE64)");
    traits.can_trim = can_discard_;
    int read_only = 0;
    if (::ioctl(fd(), BLKROGET, &read_only) != 0) return sys_error("ioctl(BLKROGET)");
    traits.read_only = !writable_ || read_only != 0;
    if (always_waits()) {
        int logical = 0;
        if (::ioctl(fd(), BLKSSZGET, &logical) != 0) return sys_error("ioctl(BLKSSZGET)");
        traits.minimum_block = static_cast<std::uint32_t>(logical);
    }
    traits.preferred_block = std::max(preferred_block_, traits.minimum_block);
    return traits;
}

Result<void> BlockVolume::trim(std::uint64_t offset, std::uint64_t length) {
    const Aligned part = whole_blocks(offset, length, granularity());
    if (part.middle == 0) return {};
    std::uint64_t range[2] = {offset + part.head, part.middle};
    const int result = ::ioctl(fd(), BLKDISCARD, range);
    note_change();
    if (result != 0 && errno != EOPNOTSUPP) return sys_error("ioctl(BLKDISCARD)");
    return {};
}

// Only zeroing whole blocks by the device itself is fast. fallocate(2) drops the dirty pages of the range
// before the kernel detects that the device cannot zero (blkdev_fallocate): acknowledged writes would be
// reverted under a reply that promises that nothing was changed. So fast zeroes are refused by the device's
// limits, before any call; if a device refuses despite its limits, the zeroes are written.
Result<void> BlockVolume::zero(std::uint64_t offset, std::uint64_t length, ZeroHow how) {
    const Aligned part = whole_blocks(offset, length, granularity());
    const bool unmap = part.middle > 0 && how.may_unmap && can_zero_fast_;
    if (!unmap && how.fast) return std::unexpected(SysError{EOPNOTSUPP, "fast zeroes"});
    if (part.middle == 0) return write_zeroes(offset, length);
    const std::uint64_t middle = offset + part.head;
    // Earlier writes must survive an error of fallocate(2), too.
    if (const Result<void> written = write_out(middle, part.middle); !written) return written;
    if (const Result<void> done = zero_blocks(middle, part.middle, unmap); !done) return done;
    if (const Result<void> head = write_zeroes(offset, part.head); !head) return head;
    return write_zeroes(middle + part.middle, part.tail);
}

Result<void> BlockVolume::zero_blocks(std::uint64_t offset, std::uint64_t length, bool unmap) {
    const auto change = [&](int flags) {
        const int result = ::fallocate(fd(), flags | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                                       static_cast<off_t>(length));
        const int error = errno;
        note_change();
        return result == 0 ? 0 : error;
    };
    // PUNCH_HOLE succeeds only if unmapped blocks of the device read as zeroes.
    if (unmap) {
        const int error = change(FALLOC_FL_PUNCH_HOLE);
        if (error == 0) return {};
        if (error == EOPNOTSUPP) can_zero_fast_ = false;
    }
    const int error = change(FALLOC_FL_ZERO_RANGE);
    if (error == 0) return {};
    if (error != EOPNOTSUPP && error != EINVAL && error != ENODEV)
        return std::unexpected(SysError{error, "fallocate(ZERO_RANGE)"});
    return write_zeroes(offset, length);
}

}  // namespace holdfast::server
