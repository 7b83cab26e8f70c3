// What block devices do in their own way: sizes, limits of the queue, discarding and zeroing of whole blocks.

#include "server/block_volume.hh"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <algorithm>

namespace holdfast::server {
namespace {

// The page: below it, the kernel would have to drop parts of cached pages, and devices discard no less
// anyway.
constexpr std::uint64_t granularity = 4096;

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
    if (always_waits()) {
        int logical = 0;
        if (::ioctl(fd(), BLKSSZGET, &logical) != 0) return sys_error("ioctl(BLKSSZGET)");
        traits.minimum_block = static_cast<std::uint32_t>(logical);
    }
    traits.preferred_block = std::max(preferred_block_, traits.minimum_block);
    return traits;
}

Result<void> BlockVolume::trim(std::uint64_t offset, std::uint64_t length) {
    const Aligned part = whole_blocks(offset, length, granularity);
    if (part.middle == 0) return {};
    std::uint64_t range[2] = {offset + part.head, part.middle};
    const int result = ::ioctl(fd(), BLKDISCARD, range);
    note_change();
    if (result != 0 && errno != EOPNOTSUPP) return sys_error("ioctl(BLKDISCARD)");
    return {};
}

// Fast is what the device itself does to whole blocks. Where it does not, or must not unmap, the kernel
// writes zeroes in its place, and does not say which of the two it was.
Result<void> BlockVolume::zero(std::uint64_t offset, std::uint64_t length, ZeroHow how) {
    const Aligned part = whole_blocks(offset, length, granularity);
    const std::uint64_t middle = offset + part.head;
    const auto change_middle = [&](int flags) {
        const int result = ::fallocate(fd(), flags | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(middle),
                                       static_cast<off_t>(part.middle));
        note_change();
        return result == 0;
    };
    // Only where the device's own unmapping reads as zeroes afterwards; it fails otherwise.
    bool done = part.middle > 0 && how.may_unmap && change_middle(FALLOC_FL_PUNCH_HOLE);
    if (!done && how.fast) return std::unexpected(SysError{EOPNOTSUPP, "fast zeroes"});
    if (!done && part.middle > 0) {
        done = change_middle(FALLOC_FL_ZERO_RANGE);
        if (!done && errno != EOPNOTSUPP && errno != EINVAL && errno != ENODEV)
            return sys_error("fallocate(ZERO_RANGE)");
    }
    if (!done) return write_zeroes(offset, length);
    if (const Result<void> head = write_zeroes(offset, part.head); !head) return head;
    return write_zeroes(middle + part.middle, part.tail);
}

}  // namespace holdfast::server
