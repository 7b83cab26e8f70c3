// Each sink gets a complete line in a single write, so that lines of several threads do not mix.

#include "common/linux/log.hh"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "common/linux/fd.hh"

namespace holdfast::log {
namespace {

struct State {
    const char* program = "holdfast";
    Sink sink = Sink::terminal;
    Level least = Level::info;
    Fd kmsg;
    Fd socket;                         // resident, syslog: a datagram socket, never connected
    std::unique_ptr<LineTaker> taker;  // after never_wait()
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

// Maximum bytes of a line; /dev/kmsg itself cuts at about 1,000.
constexpr std::size_t longest_line = 960;

// Sends to a logger that may be restarted, or may itself wait for the unreachable disk: a line that it does
// not accept at once is lost. Each send carries the address, since the server may not connect
// (server/process/system_call_filter.cc).
void send_to_logger(const State& log, const char* path, int level, std::string_view text) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    std::array<char, 64> head;
    const int head_size = std::snprintf(head.data(), head.size(), "<%d>%.40s[%d]: ", LOG_DAEMON | level,
                                        log.program, ::getpid());
    iovec parts[] = {{head.data(), static_cast<std::size_t>(head_size)},
                     {const_cast<char*>(text.data()), text.size()}};
    msghdr message{};
    message.msg_name = &address;
    message.msg_namelen = sizeof address;
    message.msg_iov = parts;
    message.msg_iovlen = std::size(parts);
    [[maybe_unused]] const ssize_t sent = ::sendmsg(log.socket.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

// Sends to "log" in the working directory. A symbolic link is systemd's and leads to the journal, which reads
// the kernel's log anyway.
void send_to_logger_here(const State& log, int level, std::string_view text) {
    struct stat entry {};
    if (::fstatat(AT_FDCWD, "log", &entry, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(entry.st_mode))
        send_to_logger(log, "log", level, text);
}

}  // namespace

Setup setup() noexcept { return {state().sink, state().program}; }

void hand_lines_to(std::unique_ptr<LineTaker> taker) noexcept { state().taker = std::move(taker); }

bool catch_up() noexcept {
    const State& log = state();
    return log.taker && log.taker->send();
}

void finish() noexcept {
    State& log = state();
    if (log.taker) log.taker->finish();
}

void open(const char* program, Sink sink, Level least) {
    State& log = state();
    log.program = program;
    log.sink = sink;
    log.least = least;
    log.taker.reset();
    if (sink == Sink::kernel || sink == Sink::resident)
        log.kmsg.reset(::open("/dev/kmsg", O_WRONLY | O_CLOEXEC | O_NONBLOCK));
    if (sink == Sink::resident || sink == Sink::syslog)
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

namespace {

using Line = std::array<char, longest_line + 64>;

// Writes the text before a line, for the sink; returns its length. The logger's is only for a taker.
std::size_t put_head(Line& line, const State& log, Level level) noexcept {
    constexpr std::size_t room = 64;
    const auto number = static_cast<int>(level);
    int head = 0;
    switch (log.sink) {
        case Sink::terminal:
            head = std::snprintf(line.data(), room, "%.40s: %s", log.program, level_word(level));
            break;
        case Sink::journal: head = std::snprintf(line.data(), room, "<%d>", number); break;
        case Sink::resident:
        case Sink::kernel: head = std::snprintf(line.data(), room, "<%d>%.40s: ", number, log.program); break;
        case Sink::syslog:
            if (log.taker)
                head = std::snprintf(line.data(), room, "<%d>%.40s[%d]: ", LOG_DAEMON | number, log.program,
                                     ::getpid());
            break;
    }
    return static_cast<std::size_t>(head);
}

// Writes the text without control characters, and a newline; returns the length without the newline.
std::size_t put_body(char* body, std::string_view text) noexcept {
    const std::size_t length = std::min(text.size(), longest_line - 1);
    std::transform(text.data(), text.data() + length, body,
                   [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c; });
    body[length] = '\n';
    return length;
}

void give_to_taker(const State& log, std::string_view line) noexcept {
    try {
        log.taker->add(std::string(line));
    } catch (...) {
        // Out of memory: the line is lost.
    }
}

}  // namespace

void write(Level level, std::string_view text) noexcept {
    const State& log = state();
    if (level > log.least) return;
    Line line;
    const std::size_t start = put_head(line, log, level);
    const std::string_view body{line.data() + start, put_body(line.data() + start, text)};
    const std::string_view whole{line.data(), start + body.size() + 1};
    if (log.taker)
        return give_to_taker(log, log.sink == Sink::syslog ? whole.substr(0, whole.size() - 1) : whole);
    const auto number = static_cast<int>(level);
    if (log.sink == Sink::syslog) return send_to_logger(log, "/dev/log", number, body);
    if (log.sink == Sink::resident) send_to_logger_here(log, number, body);
    const bool to_kernel = log.sink == Sink::kernel || log.sink == Sink::resident;
    const int target = to_kernel && log.kmsg ? log.kmsg.get() : STDERR_FILENO;
    // Ignores a failure: a failing log has no remedy.
    [[maybe_unused]] const ssize_t written = ::write(target, whole.data(), whole.size());
}

}  // namespace holdfast::log
