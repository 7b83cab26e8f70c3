// A bounded queue before a sink; writes only when the sink has room.

#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "common/linux/fd.hh"
#include "common/linux/log.hh"

namespace holdfast::log {
namespace {

// Lines waiting for a reader that may be slow or stalled.
class Backlog final : public LineTaker {
public:
    Backlog(Sink sink, const char* program);
    void add(std::string line) override;
    [[nodiscard]] bool send() override;
    void finish() override;

private:
    static constexpr std::size_t most = 64U << 10;
    enum class Kind : std::uint8_t { plain, pipe, stream, logger, none };

    // Returns the number of bytes written; -1 and errno on failure.
    [[nodiscard]] ssize_t offer(std::string_view line) const noexcept;
    [[nodiscard]] bool start_copier();
    [[nodiscard]] bool send_locked();
    void put(std::string line);
    // Queues a line with the number of lost lines; returns false if none was lost.
    bool put_lost_count();

    const Sink sink_;
    const char* const program_;
    Kind kind_ = Kind::plain;
    Fd own_;
    Fd copier_;         // pipe from the copier process: hangs up when the process has ended
    std::mutex mutex_;  // guards the members below
    std::deque<std::string> lines_;
    std::size_t size_ = 0;
    std::uint64_t lost_ = 0;
};

// Copies the pipe to stderr until its other end is closed. Only read(2), write(2) and exit(2) are allowed, if
// the kernel supports strict seccomp.
[[noreturn]] void copy(int from, int alive) {
    // Every signal that can be ignored: a signal to the whole group must not discard the last lines of the
    // program (SIGABRT of systemd's watchdog), nor end the log (SIGXFSZ).
    for (int signal = 1; signal < NSIG; ++signal) (void)::signal(signal, SIG_IGN);
    (void)::prctl(PR_SET_NAME, "holdfast-log");
    (void)::prctl(PR_SET_DUMPABLE, 0);
    (void)::dup2(from, STDIN_FILENO);
    (void)::dup2(alive, STDOUT_FILENO);
    (void)::close_range(3, ~0U, 0);
    [[maybe_unused]] const int stays = ::chdir("/");  // only keeps a file system busy
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    // The thread sanitizer runs a thread in this process, too, which exit(2) would leave behind.
    const bool strict = false;
#else
    const bool strict = ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0;
#endif
    std::array<char, 4096> lines;
    for (;;) {
        const long count = ::syscall(SYS_read, STDIN_FILENO, lines.data(), lines.size());
        if (count == 0 || (count < 0 && errno != EINTR)) break;
        // Ignores a failure: a failing log has no remedy.
        if (count > 0) (void)::syscall(SYS_write, STDERR_FILENO, lines.data(), count);
    }
    for (;;) (void)::syscall(strict ? SYS_exit : SYS_exit_group, 0);
}

// Starts a separate process that writes to a regular file: O_NONBLOCK has no effect on regular files, and
// their disk may hang. A hung thread would keep this program from changing its user, and from exiting.
bool Backlog::start_copier() {
    int lines[2];
    int alive[2];
    if (::pipe2(lines, O_CLOEXEC) != 0) return false;
    const Fd from(lines[0]);
    Fd to(lines[1]);
    if (::pipe2(alive, O_CLOEXEC) != 0) return false;
    Fd ours(alive[0]);
    const Fd theirs(alive[1]);
    const pid_t child = ::fork();
    if (child == 0) copy(from.get(), theirs.get());
    if (child < 0 || ::fcntl(to.get(), F_SETFL, O_NONBLOCK) != 0) return false;
    own_ = std::move(to);
    copier_ = std::move(ours);
    return true;
}

// Reopens a pipe, so that O_NONBLOCK is not set for other holders of the pipe. A logger's datagram socket is
// not connected: the logger may be restarted.
Backlog::Backlog(Sink sink, const char* program) : sink_(sink), program_(program) {
    struct stat own {};
    if (sink == Sink::syslog) {
        kind_ = Kind::logger;
        own_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    } else if (::fstat(STDERR_FILENO, &own) == 0 && S_ISSOCK(own.st_mode)) {
        kind_ = Kind::stream;
    } else if (S_ISFIFO(own.st_mode) || S_ISCHR(own.st_mode)) {
        kind_ = Kind::pipe;
        if (S_ISFIFO(own.st_mode))
            own_.reset(::open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    } else if (start_copier()) {
        kind_ = Kind::pipe;
    }
}

ssize_t Backlog::offer(std::string_view line) const noexcept {
    switch (kind_) {
        case Kind::plain: return ::write(STDERR_FILENO, line.data(), line.size());
        case Kind::stream:
            return ::send(STDERR_FILENO, line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        case Kind::pipe: {
            if (own_) return ::write(own_.get(), line.data(), line.size());
            // A writable terminal or pipe has room for a line; another writer may take the room first.
            pollfd room{STDERR_FILENO, POLLOUT, 0};
            if (::poll(&room, 1, 0) == 1) return ::write(STDERR_FILENO, line.data(), line.size());
            errno = EAGAIN;
            return -1;
        }
        case Kind::logger: {
            sockaddr_un address{};
            address.sun_family = AF_UNIX;
            constexpr std::string_view path = "/dev/log";
            path.copy(address.sun_path, path.size());
            iovec data{const_cast<char*>(line.data()), line.size()};
            msghdr message{};
            message.msg_name = &address;
            message.msg_namelen = sizeof address;
            message.msg_iov = &data;
            message.msg_iovlen = 1;
            return ::sendmsg(own_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        }
        case Kind::none: return static_cast<ssize_t>(line.size());
    }
    return -1;
}

bool Backlog::send_locked() {
    while (!lines_.empty() || put_lost_count()) {
        std::string& line = lines_.front();
        const ssize_t count = offer(line);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && errno == EAGAIN) return true;
        const bool part = count >= 0 && static_cast<std::size_t>(count) < line.size();
        size_ -= part ? static_cast<std::size_t>(count) : line.size();
        if (part) {
            line.erase(0, static_cast<std::size_t>(count));
            continue;
        }
        // The line was written, or the log failed and has no remedy.
        lines_.pop_front();
    }
    return false;
}

bool Backlog::send() {
    const std::lock_guard lock(mutex_);
    return send_locked();
}

void Backlog::finish() {
    constexpr int patience_ms = 1000;
    constexpr int pause_ms = 10;
    const std::lock_guard lock(mutex_);
    // Polls, because not every sink reports when it has room.
    for (int waited = 0; send_locked() && waited < patience_ms; waited += pause_ms)
        (void)::poll(nullptr, 0, pause_ms);
    if (!copier_) return;
    own_.reset();
    // Drops later lines of other threads: stderr's disk may hang and would block those threads.
    kind_ = Kind::none;
    pollfd ended{copier_.get(), 0, 0};
    (void)::poll(&ended, 1, patience_ms);
}

void Backlog::put(std::string line) {
    size_ += line.size();
    lines_.push_back(std::move(line));
}

bool Backlog::put_lost_count() {
    if (lost_ == 0) return false;
    std::array<char, 128> text;
    const int number = static_cast<int>(Level::warning);
    constexpr const char* said = "the log was blocked for a while; lines lost: ";
    const auto count = static_cast<unsigned long long>(std::exchange(lost_, 0));
    if (sink_ == Sink::terminal) {
        (void)std::snprintf(text.data(), text.size(), "%.40s: warning: %s%llu\n", program_, said, count);
    } else if (sink_ == Sink::journal) {
        (void)std::snprintf(text.data(), text.size(), "<%d>%s%llu\n", number, said, count);
    } else {
        (void)std::snprintf(text.data(), text.size(), "<%d>%.40s[%d]: %s%llu", LOG_DAEMON | number, program_,
                            ::getpid(), said, count);
    }
    put(text.data());
    return true;
}

void Backlog::add(std::string line) {
    const std::lock_guard lock(mutex_);
    (void)send_locked();
    if (size_ + line.size() > most) {
        ++lost_;
        return;
    }
    (void)put_lost_count();
    put(std::move(line));
    (void)send_locked();
}

}  // namespace

void never_wait() {
    const Setup now = setup();
    hand_lines_to(std::make_unique<Backlog>(now.sink, now.program));
}

}  // namespace holdfast::log
