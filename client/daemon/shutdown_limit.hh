// Limits how long the machine's shutdown waits for an unreachable server. Uses no clock, no kernel, no file:
// the caller passes evidence and the time, and gets the next step.
//
// The time runs while the machine shuts down *and* the server is known to be unreachable, from the later of
// both. A merely slow server has its link up; a server that returns resets the time to zero. Missing proof
// that the disk works is not evidence: an idle disk shows no activity.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace holdfast::client {

// State of the disk while the machine shuts down.
enum class DiskEvidence : std::uint8_t {
    works,    // requests complete, or the link is up without contrary evidence
    unknown,  // a proof is in progress
    away,     // the link is down and no request completes; or a read gets no answer
};

class ShutdownLimit {
public:
    using Time = std::chrono::steady_clock::time_point;

    // `limit`: time until the machine is off. 0: wait for the server without limit.
    explicit ShutdownLimit(std::chrono::seconds limit) noexcept : limit_(limit) {}

    enum class Step : std::uint8_t {
        none,
        began,    // once per outage: the time has started
        give_up,  // once: give the device up, so that its I/O fails and the shutdown continues
    };
    // `going_down`: the machine is shutting down. `unknown` evidence lets the time run, but never leads to
    // give_up.
    [[nodiscard]] Step look(DiskEvidence evidence, bool going_down, Time now) noexcept;

    // Time after `give_up` that the system gets to shut down by itself.
    [[nodiscard]] std::chrono::seconds grace() const noexcept;
    // Time from `began` to `give_up`.
    [[nodiscard]] std::chrono::seconds patience() const noexcept { return limit_ - grace(); }
    [[nodiscard]] bool is_off() const noexcept { return limit_.count() == 0; }

private:
    std::chrono::seconds limit_;
    std::optional<Time> since_;  // start of the time, while the time runs
    bool told_ = false;          // `began` was returned since the start
    bool given_up_ = false;
};

}  // namespace holdfast::client
