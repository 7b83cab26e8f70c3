// How long a machine that goes down waits for a server that is away. Knows no clock, no kernel, no file:
// looks come in, with the time, and what is to be done comes out.
//
// The time runs while the machine goes down *and* the link is down, from the later of the two on. A server
// that is merely slow has its link up, and one that comes back sets the time back to nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace holdfast::client {

class ShutdownBound {
public:
    using Time = std::chrono::steady_clock::time_point;

    // The machine is off when `limit` has passed. 0: the server is waited for, however long it takes.
    explicit ShutdownBound(std::chrono::seconds limit) noexcept : limit_(limit) {}

    enum class Step : std::uint8_t {
        none,
        began,    // told once an outage: the time runs
        give_up,  // told once: the device is to be given up, so that its I/O fails and the shutdown goes on
    };
    // `working`: the kernel uses the link. `going_down`: the machine is on its way down.
    [[nodiscard]] Step look(bool working, bool going_down, Time now) noexcept;

    // After `give_up`: how much longer the system gets to come to its end by itself.
    [[nodiscard]] std::chrono::seconds grace() const noexcept;
    // From `began` to `give_up`.
    [[nodiscard]] std::chrono::seconds patience() const noexcept { return limit_ - grace(); }

private:
    std::chrono::seconds limit_;
    std::optional<Time> since_;  // the time runs
    bool given_up_ = false;
};

}  // namespace holdfast::client
