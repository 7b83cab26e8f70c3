// open(2) returns the lowest free number, so that each stream gets its own number.

#include "common/linux/standard_streams.hh"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <initializer_list>

namespace holdfast {

bool open_standard_streams() noexcept {
    for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (::fcntl(stream, F_GETFD) >= 0 || errno != EBADF) continue;
        const int mode = stream == STDIN_FILENO ? O_WRONLY : O_RDONLY;
        // Falls back to a path descriptor, neither readable nor writable: an early initramfs may lack
        // /dev/null.
        if (::open("/dev/null", mode) != stream && ::open("/", O_PATH) != stream) return false;
    }
    return true;
}

}  // namespace holdfast
