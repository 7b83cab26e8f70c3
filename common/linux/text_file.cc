// Guards against directories, FIFOs, devices and endless files.

#include "common/linux/text_file.hh"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/linux/fd.hh"

namespace holdfast {

Result<std::string> read_text_file(const std::string& path, std::size_t most) {
    // O_NONBLOCK: a FIFO must not block the program.
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!file) return sys_error("open");
    struct stat status {};
    if (::fstat(file.get(), &status) != 0) return sys_error("fstat");
    if (S_ISDIR(status.st_mode)) return std::unexpected(SysError{EISDIR, "open"});
    if (!S_ISREG(status.st_mode)) return std::unexpected(SysError{EINVAL, "open"});
    return read_to_end(file.get(), most);
}

Result<std::string> read_to_end(int file, std::size_t most) {
    std::string text;
    char chunk[16384];
    for (;;) {
        const ssize_t count = ::read(file, chunk, sizeof chunk);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return sys_error("read");
        if (count == 0) return text;
        text.append(chunk, static_cast<std::size_t>(count));
        if (text.size() > most) return std::unexpected(SysError{EFBIG, "read"});
    }
}

}  // namespace holdfast
