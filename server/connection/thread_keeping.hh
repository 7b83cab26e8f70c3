// Decides how long a connection without requests keeps its thread: creating a thread for each request of a
// slow client costs more than the request. Pure: the caller passes the time.
#pragma once

#include <algorithm>
#include <chrono>

#include "common/linux/clock.hh"

namespace holdfast::server {

class ThreadKeeping {
public:
    static constexpr std::chrono::seconds shortest{1};
    static constexpr std::chrono::seconds longest{8};

    // Time for which the thread waits for another request before it ends; zero for a client that was silent
    // for long.
    [[nodiscard]] std::chrono::seconds wait() const noexcept { return wait_; }
    void ended(Clock::time_point now) noexcept { ended_at_ = now; }
    // Doubles the time for a client whose thread ended too early.
    void made_again(Clock::time_point now) noexcept {
        const bool early = now - ended_at_ < longest;
        wait_ = early ? std::clamp(2 * wait_, shortest, longest) : std::chrono::seconds{0};
    }

private:
    Clock::time_point ended_at_{};
    std::chrono::seconds wait_{0};
};

}  // namespace holdfast::server
