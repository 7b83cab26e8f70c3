// Clock for deadlines and intervals. Monotonic: a change of the time of day does not move it.
#pragma once

#include <algorithm>
#include <chrono>

namespace holdfast {

using Clock = std::chrono::steady_clock;
using Deadline = Clock::time_point;

inline constexpr Deadline no_deadline = Deadline::max();

// Timeout for poll(2) and epoll_wait(2) until the deadline, in milliseconds, rounded up: 0 for a past
// deadline, -1 for no deadline. At most a minute, so the caller must compare the time again.
[[nodiscard]] inline int poll_timeout(Deadline deadline, Clock::time_point now) {
    if (deadline == no_deadline) return -1;
    if (deadline <= now) return 0;
    constexpr std::chrono::milliseconds longest = std::chrono::minutes(1);
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - now);
    return static_cast<int>(std::min(left, longest).count());
}

}  // namespace holdfast
