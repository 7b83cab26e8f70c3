// The lowest free number is what open(2) gives, so that each stream gets its own.

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
        // An early initramfs may be without /dev/null. A path descriptor can be neither read nor written.
        if (::open("/dev/null", mode) != stream && ::open("/", O_PATH) != stream) return false;
    }
    return true;
}

}  // namespace holdfast
