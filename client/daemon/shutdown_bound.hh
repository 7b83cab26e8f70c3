// How long a machine that goes down waits for a server that is away. Knows no clock, no kernel, no file:
// looks come in, with the time, and what is to be done comes out.
//
// The time runs while the machine goes down *and* there is evidence that the server is away, from the later
// of the two on. A server that is merely slow has its link up, and one that comes back sets the time back to
// nothing. Missing proof that the disk works is no evidence: an idle disk shows nothing of itself.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace holdfast::client {

// What is known of the disk while the machine shuts down.
enum class DiskEvidence : std::uint8_t {
    works,    // requests are completed, or the link is up and nothing speaks against it
    unknown,  // a proof has been started
    away,     // the link is down and nothing is completed; or a read gets no answer
};

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
    // `going_down`: the machine is on its way down. `unknown` lets the time run on, but ends nothing.
    [[nodiscard]] Step look(DiskEvidence evidence, bool going_down, Time now) noexcept;

    // After `give_up`: how much longer the system gets to come to its end by itself.
    [[nodiscard]] std::chrono::seconds grace() const noexcept;
    // From `began` to `give_up`.
    [[nodiscard]] std::chrono::seconds patience() const noexcept { return limit_ - grace(); }
    [[nodiscard]] bool is_off() const noexcept { return limit_.count() == 0; }

private:
    std::chrono::seconds limit_;
    std::optional<Time> since_;  // the time runs
    bool told_ = false;          // `began`, of this time
    bool given_up_ = false;
};

}  // namespace holdfast::client
