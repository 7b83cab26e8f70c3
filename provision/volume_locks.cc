// flock(2). A process that waited for the lock of a removed file opens the file again: otherwise two
// processes could hold "the" lock.

#include "provision/volume_locks.hh"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

namespace holdfast::provision {
namespace {

bool has_left(int asker) {
    constexpr int pause_ms = 50;
    pollfd one{asker, POLLRDHUP, 0};
    return ::poll(&one, 1, pause_ms) > 0 && (one.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

Result<Fd> open_lock(const std::string& path) {
    Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file) return sys_error("open");
    return file;
}

bool is_file_at(const Fd& file, const std::string& path) {
    struct stat held {};
    struct stat found {};
    return ::fstat(file.get(), &held) == 0 && ::stat(path.c_str(), &found) == 0 &&
           held.st_ino == found.st_ino && held.st_dev == found.st_dev;
}

}  // namespace

VolumeLock::~VolumeLock() {
    if (file_) (void)::unlink(path_.c_str());
}

Result<Fd> VolumeLocks::lock_group(const std::string& group) const {
    Result<Fd> file = open_lock(path_of("group " + group));
    if (!file) return file;
    while (::flock(file->get(), LOCK_EX) != 0)
        if (errno != EINTR) return sys_error("flock");
    return file;
}

Result<VolumeLock> VolumeLocks::lock_volume(const std::string& group, const std::string& volume,
                                            int asker) const {
    std::string path = path_of("volume " + group + " " + volume);
    for (;;) {
        Result<Fd> file = open_lock(path);
        if (!file) return std::unexpected(file.error());
        while (::flock(file->get(), LOCK_EX | LOCK_NB) != 0) {
            if (errno != EINTR && errno != EWOULDBLOCK) return sys_error("flock");
            if (has_left(asker)) return std::unexpected(SysError{ECANCELED, "flock"});
        }
        if (is_file_at(*file, path)) return VolumeLock(std::move(*file), std::move(path));
    }
}

}  // namespace holdfast::provision
