// Measures how long requests wait while none is answered. Pure: the daemon passes its observations and the
// time.
#pragma once

#include <chrono>
#include <cstdint>

namespace holdfast::client {

class StallWatch {
public:
    using Time = std::chrono::steady_clock::time_point;

    // Records a link check: number of requests in flight, and whether any answer came since the last check.
    void see(std::uint64_t in_flight, bool answered, Time now) noexcept;
    // Records the loss of the link: from now on all requests wait, also requests not sent yet.
    void link_lost(Time now) noexcept;

    [[nodiscard]] std::chrono::milliseconds age(Time now) const noexcept;  // present stall; 0 without a stall
    [[nodiscard]] std::chrono::milliseconds longest(Time now) const noexcept;

private:
    void end(Time now) noexcept;

    bool stalled_ = false;
    Time since_{};  // valid only if stalled_
    Time last_look_{};
    std::chrono::milliseconds longest_{0};
};

}  // namespace holdfast::client
