// Thin edge of epoll, timerfd and signalfd.

#include "client/daemon/event_loop.hh"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>

#include <algorithm>

#include "client/process/hardening.hh"
#include "common/linux/log.hh"

namespace holdfast::client {

using std::chrono::duration_cast;
using std::chrono::nanoseconds;
using std::chrono::seconds;

Result<void> EventLoop::open() {
    const sigset_t blocked = signals_of_others();
    if (::sigprocmask(SIG_SETMASK, &blocked, nullptr) != 0) return sys_error("sigprocmask");
    signals_.reset(::signalfd(-1, &blocked, SFD_CLOEXEC | SFD_NONBLOCK));
    timer_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
    if (!signals_ || !timer_ || !epoll_) return sys_error("signalfd, timerfd, epoll");
    if (auto watched = watch(timer_.get(), EPOLLIN, tag_timer); !watched) return watched;
    return watch(signals_.get(), EPOLLIN, tag_signals);
}

Result<void> EventLoop::watch(int descriptor, std::uint32_t events, std::uint64_t tag) noexcept {
    epoll_event event{};
    event.events = events;
    event.data.u64 = tag;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &event) == 0) return {};
    if (errno == EEXIST && ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, descriptor, &event) == 0) return {};
    return sys_error("epoll_ctl");
}

void EventLoop::forget(int descriptor) noexcept {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, descriptor, nullptr);
}

void EventLoop::arm(Time deadline) noexcept {
    itimerspec value{};
    if (deadline != Time::max()) {
        // A passed deadline fires now; zero would disarm the timer. steady_clock is CLOCK_MONOTONIC, so its
        // time points are valid for the timer.
        const auto left = std::max(deadline.time_since_epoch(), Time::duration{1});
        const auto whole = duration_cast<seconds>(left);
        value.it_value.tv_sec = whole.count();
        value.it_value.tv_nsec = nanoseconds(left - whole).count();
    }
    ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &value, nullptr);
}

std::span<const epoll_event> EventLoop::wait() noexcept {
    const int count = ::epoll_wait(epoll_.get(), events_.data(), static_cast<int>(events_.size()), -1);
    return {events_.data(), static_cast<std::size_t>(std::max(count, 0))};
}

void EventLoop::take_timer() noexcept {
    std::uint64_t expirations = 0;
    [[maybe_unused]] const ssize_t count = ::read(timer_.get(), &expirations, sizeof expirations);
}

void EventLoop::take_signals(std::string_view name) noexcept {
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
        const auto number = static_cast<int>(info.ssi_signo);
        if (number == SIGTERM || number == SIGINT || number == SIGHUP || number == SIGQUIT)
            log::notice(
                LineText::of("{}: ignoring signal {} from process {}; to stop this daemon, run "
                             "`holdfast-client detach {}`",
                             name, number, info.ssi_pid, name));
    }
}

}  // namespace holdfast::client
