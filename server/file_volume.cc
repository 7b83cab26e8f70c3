// What regular files do in their own way: holes.

#include "server/file_volume.hh"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>

namespace holdfast::server {

Result<VolumeTraits> FileVolume::traits() const {
    struct stat status {};
    if (::fstat(fd(), &status) != 0) return sys_error("fstat");
    VolumeTraits traits;
    traits.size = static_cast<std::uint64_t>(status.st_size);
    // A hole beyond the end changes nothing, and is refused where the file system has no holes.
    if (writable_) {
        const off_t beyond = (status.st_size | 0xffff) + 1;
        traits.can_trim = ::fallocate(fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, beyond, 4096) == 0;
    }
    return traits;
}

Result<void> FileVolume::trim(std::uint64_t offset, std::uint64_t length) {
    if (length == 0) return {};
    if (::fallocate(fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                    static_cast<off_t>(length)) != 0 &&
        errno != EOPNOTSUPP) {
        return sys_error("fallocate(PUNCH_HOLE)");
    }
    return {};
}

Result<void> FileVolume::zero(std::uint64_t offset, std::uint64_t length, bool may_unmap) {
    if (length == 0) return {};
    const int how = may_unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;
    if (::fallocate(fd(), how | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                    static_cast<off_t>(length)) == 0) {
        return {};
    }
    if (errno != EOPNOTSUPP) return sys_error(may_unmap ? "fallocate(PUNCH_HOLE)" : "fallocate(ZERO_RANGE)");
    return write_zeroes(offset, length);
}

}  // namespace holdfast::server
