// Tries the lock again and again: flock(2) itself waits without a limit.

#include "client/control/command_turn.hh"

#include <fcntl.h>
#include <sys/file.h>

#include "common/linux/pause.hh"

namespace holdfast::client {

Result<Fd> take_turn(const std::string& path, Deadline end, const std::function<void()>& say_waiting) {
    constexpr std::chrono::milliseconds pause{100};
    Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!file) return sys_error("open");
    for (bool said = false; ::flock(file.get(), LOCK_EX | LOCK_NB) != 0; pause_for(pause)) {
        if (errno != EWOULDBLOCK && errno != EINTR) return sys_error("lock");
        if (Clock::now() >= end) return std::unexpected(SysError{ETIMEDOUT, "lock"});
        if (!said) say_waiting();
        said = true;
    }
    return file;
}

}  // namespace holdfast::client
