// A failure weakens the daemon, but does not stop it.

#include "client/process/hardening.hh"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "common/linux/fd.hh"
#include "common/linux/result.hh"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

namespace holdfast::client {
namespace {

std::string last_error(const char* call) { return SysError{errno, call}.message(); }

// Touches enough stack for every later call, so that its pages exist.
void touch_stack() noexcept {
    std::array<volatile char, 128 * 1024> room;
    for (std::size_t i = 0; i < room.size(); i += 1024) room[i] = 0;
}

std::string lock_memory() {
    // Raises the limit, which applies to later allocations once CAP_IPC_LOCK is dropped.
    const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
    if (::setrlimit(RLIMIT_MEMLOCK, &unlimited) != 0) return last_error("setrlimit(RLIMIT_MEMLOCK)");
    touch_stack();
    if (::mlockall(MCL_CURRENT | MCL_FUTURE) != 0) return last_error("mlockall");
    return {};
}

std::string spare_from_oom() {
    const Fd file(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
    if (!file || ::write(file.get(), "-1000", 5) != 5) return last_error("/proc/self/oom_score_adj");
    return {};
}

std::string become_flusher() {
    if (::prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0) != 0) return last_error("prctl(PR_SET_IO_FLUSHER)");
    return {};
}

}  // namespace

void close_inherited() noexcept { ::close_range(STDERR_FILENO + 1, ~0U, 0); }

sigset_t signals_of_others() noexcept {
    sigset_t set;
    ::sigemptyset(&set);
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE, SIGTSTP,
                             SIGTTIN, SIGTTOU, SIGCHLD})
        ::sigaddset(&set, number);
    return set;
}

void hold_signals() noexcept {
    const sigset_t held = signals_of_others();
    ::sigprocmask(SIG_BLOCK, &held, nullptr);
}

bool was_to_end() noexcept {
    sigset_t waiting;
    if (::sigpending(&waiting) != 0) return false;
    return std::ranges::any_of(std::array{SIGTERM, SIGINT, SIGHUP, SIGQUIT},
                               [&](int number) { return ::sigismember(&waiting, number) == 1; });
}

void leave_terminal() noexcept {
    ::setsid();
    if (::chdir("/dev") != 0 && ::chdir("/") != 0) return;
    ::umask(022);
    if (const Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC)); null)
        for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null.get(), stream);
}

std::vector<std::string> stay_in_memory() {
    std::vector<std::string> failures;
    for (std::string failure : {lock_memory(), spare_from_oom(), become_flusher()})
        if (!failure.empty()) failures.push_back(std::move(failure));
    return failures;
}

std::vector<std::string> settle_down(const FurtherNeeds& needs) {
    std::vector<std::string> failures = stay_in_memory();
    if (std::string failure = keep_needed_capabilities(needs); !failure.empty())
        failures.push_back(std::move(failure));
    return failures;
}

}  // namespace holdfast::client
