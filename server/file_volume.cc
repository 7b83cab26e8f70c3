// What regular files do in their own way: holes.

#include "server/file_volume.hh"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>

namespace holdfast::server {
namespace {

// fallocate(2), which a signal may end early on some file systems.
bool change_space(int file, int how, std::uint64_t offset, std::uint64_t length) {
    for (;;) {
        const int result = ::fallocate(file, how | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                                       static_cast<off_t>(length));
        if (result == 0 || errno != EINTR) return result == 0;
    }
}

}  // namespace

Result<VolumeTraits> FileVolume::traits() const {
    struct stat status {};
    if (::fstat(fd(), &status) != 0) return sys_error("fstat");
    VolumeTraits traits;
    traits.size = static_cast<std::uint64_t>(status.st_size);
    // A hole beyond the end changes nothing, and is refused where the file system has no holes.
    if (writable_) {
        traits.can_trim = change_space(fd(), FALLOC_FL_PUNCH_HOLE, (traits.size | 0xffff) + 1, 4096);
    }
    return traits;
}

Result<void> FileVolume::trim(std::uint64_t offset, std::uint64_t length) {
    if (length == 0) return {};
    if (change_space(fd(), FALLOC_FL_PUNCH_HOLE, offset, length) || errno == EOPNOTSUPP) return {};
    return sys_error("fallocate(PUNCH_HOLE)");
}

Result<void> FileVolume::zero(std::uint64_t offset, std::uint64_t length, bool may_unmap) {
    if (length == 0) return {};
    const int how = may_unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE;
    if (change_space(fd(), how, offset, length)) return {};
    if (errno != EOPNOTSUPP) return sys_error(may_unmap ? "fallocate(PUNCH_HOLE)" : "fallocate(ZERO_RANGE)");
    return write_zeroes(offset, length);
}

}  // namespace holdfast::server
