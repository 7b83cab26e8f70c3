// Descriptors that an event loop watches for input (epoll(7)).
#pragma once

#include <sys/epoll.h>

#include <span>

#include "common/linux/fd.hh"
#include "common/linux/result.hh"

namespace holdfast {

class Epoll {
public:
    [[nodiscard]] Result<void> open() {
        epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
        if (!epoll_) return sys_error("epoll_create1");
        return {};
    }
    // Watches a descriptor for input. Closing the descriptor also ends the watch. Returns false, and sets
    // errno, if the kernel refuses.
    [[nodiscard]] bool watch(int fd) const {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = fd;
        return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
    }
    void unwatch(int fd) const { (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }
    // Waits for input, for at most `milliseconds` (-1: without a limit). Returns the events, which have the
    // descriptors in data.fd; none after a signal.
    [[nodiscard]] std::span<const epoll_event> wait(std::span<epoll_event> events, int milliseconds) const {
        const int count =
            ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), milliseconds);
        return events.first(count > 0 ? static_cast<std::size_t>(count) : 0);
    }

private:
    Fd epoll_;
};

}  // namespace holdfast
