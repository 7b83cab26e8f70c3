// Every sink takes one complete line in one write, so that lines of several threads do not mix.

#include "common/linux/log.hh"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>

#include "common/linux/fd.hh"

namespace holdfast::log {
namespace {

struct State {
    const char* program = "holdfast";
    Sink sink = Sink::terminal;
    Level least = Level::info;
    Fd kmsg;
    Fd socket;  // resident: a datagram socket, connected anew for each line
};

State& state() {
    static State instance;
    return instance;
}

const char* level_word(Level level) {
    switch (level) {
        case Level::error: return "error: ";
        case Level::warning: return "warning: ";
        case Level::notice:
        case Level::info:
        case Level::debug: break;
    }
    return "";
}

// A line of at most this many bytes; /dev/kmsg itself cuts at about 1,000.
constexpr std::size_t longest_line = 960;

// To a logger that may come and go, and may itself wait for the dead disk: what it does not take at once is
// not for it.
void send_to_logger(const State& log, int level, std::string_view text) {
    struct stat entry {};
    // A link is systemd's, and leads to the journal, which reads the kernel's log anyway.
    if (::fstatat(AT_FDCWD, "log", &entry, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISSOCK(entry.st_mode)) return;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, "log", 4);
    if (::connect(log.socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return;
    std::array<char, longest_line + 64> line;
    const int head =
        std::snprintf(line.data(), 64, "<%d>%.40s[%d]: ", LOG_DAEMON | level, log.program, ::getpid());
    const auto start = static_cast<std::size_t>(head);
    std::copy(text.begin(), text.end(), line.data() + start);
    [[maybe_unused]] const ssize_t sent =
        ::send(log.socket.get(), line.data(), start + text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace

void open(const char* program, Sink sink, Level least) {
    State& log = state();
    log.program = program;
    log.sink = sink;
    log.least = least;
    if (sink == Sink::syslog) ::openlog(program, LOG_PID | LOG_NDELAY, LOG_DAEMON);
    if (sink == Sink::kernel || sink == Sink::resident)
        log.kmsg.reset(::open("/dev/kmsg", O_WRONLY | O_CLOEXEC | O_NONBLOCK));
    if (sink == Sink::resident)
        log.socket.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

Sink default_sink() {
    const char* stream = ::getenv("JOURNAL_STREAM");
    struct stat own {};
    if (stream == nullptr || ::fstat(STDERR_FILENO, &own) != 0) return Sink::terminal;
    unsigned long long device = 0;
    unsigned long long inode = 0;
    if (std::sscanf(stream, "%llu:%llu", &device, &inode) != 2) return Sink::terminal;
    return device == own.st_dev && inode == own.st_ino ? Sink::journal : Sink::terminal;
}

void write(Level level, std::string_view text) noexcept {
    const State& log = state();
    if (level > log.least) return;
    std::array<char, longest_line + 64> line;
    const auto number = static_cast<int>(level);
    int head = 0;
    switch (log.sink) {
        case Sink::terminal:
            head = std::snprintf(line.data(), 64, "%.40s: %s", log.program, level_word(level));
            break;
        case Sink::journal: head = std::snprintf(line.data(), 64, "<%d>", number); break;
        case Sink::resident:
        case Sink::kernel: head = std::snprintf(line.data(), 64, "<%d>%.40s: ", number, log.program); break;
        case Sink::syslog: break;
    }
    const auto start = static_cast<std::size_t>(head);
    const std::size_t length = std::min(text.size(), longest_line - 1);
    char* const body = line.data() + start;
    std::transform(text.data(), text.data() + length, body,
                   [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c; });
    body[length] = '\n';
    if (log.sink == Sink::syslog) {
        ::syslog(number, "%.*s", static_cast<int>(length), body);
        return;
    }
    if (log.sink == Sink::resident) send_to_logger(log, number, {body, length});
    const bool to_kernel = log.sink == Sink::kernel || log.sink == Sink::resident;
    const int target = to_kernel && log.kmsg ? log.kmsg.get() : STDERR_FILENO;
    // Nothing can be done about a log that does not take its line.
    [[maybe_unused]] const ssize_t written = ::write(target, line.data(), start + length + 1);
}

}  // namespace holdfast::log
