// How long requests have waited without one being answered. Pure: the daemon tells what it sees, and when.
#pragma once

#include <chrono>
#include <cstdint>

namespace holdfast::client {

class StallWatch {
public:
    using Time = std::chrono::steady_clock::time_point;

    // At each look: how many requests are in flight, and whether any answer came since the last look.
    void see(std::uint64_t in_flight, bool answered, Time now) noexcept;
    // The link went down: from here on requests wait, also those that are not sent yet.
    void link_lost(Time now) noexcept;

    [[nodiscard]] std::chrono::milliseconds age(
        Time now) const noexcept;  // of the stall that goes on; 0 without
    [[nodiscard]] std::chrono::milliseconds longest(Time now) const noexcept;

private:
    void end(Time now) noexcept;

    bool stalled_ = false;
    Time since_{};  // has a meaning while stalled_
    Time last_look_{};
    std::chrono::milliseconds longest_{0};
};

}  // namespace holdfast::client
