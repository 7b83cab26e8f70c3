// Event loop of a daemon: one epoll set, one timer, and the signals that a daemon ignores. A single thread.
#pragma once

#include <sys/epoll.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "common/linux/fd.hh"
#include "common/linux/result.hh"

namespace holdfast::client {

// Event source, in epoll_event.data. A caller's tag is tag_first_caller plus the number of its slot.
enum EventTag : std::uint64_t {
    tag_kernel,
    tag_link,
    tag_attempt,
    tag_probe,
    tag_timer,
    tag_signals,
    tag_listen,
    tag_lease,
    tag_network,
    tag_first_caller
};

class EventLoop {
public:
    using Time = std::chrono::steady_clock::time_point;

    // Blocks the signals that a daemon ignores, and opens the descriptors. Before the seal; all functions
    // below may be called after the seal.
    [[nodiscard]] Result<void> open();

    // Adds a descriptor to the set, or changes the events of a descriptor that is in the set.
    [[nodiscard]] Result<void> watch(int descriptor, std::uint32_t events, std::uint64_t tag) noexcept;
    void forget(int descriptor) noexcept;

    // Sets the time of the next event tag_timer; Time::max(): none.
    void arm(Time deadline) noexcept;
    // Blocks until an event. The events are valid until the next call; none after an interruption.
    [[nodiscard]] std::span<const epoll_event> wait() noexcept;

    // Consumes the event tag_timer.
    void take_timer() noexcept;
    // Consumes the waiting signals, and logs those that look like an attempt to stop the daemon of device
    // `name`.
    void take_signals(std::string_view name) noexcept;

private:
    Fd epoll_;
    Fd timer_;
    Fd signals_;
    std::array<epoll_event, 8> events_{};
};

}  // namespace holdfast::client
