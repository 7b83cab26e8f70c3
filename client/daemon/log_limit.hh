// Limits the number of log lines about a flapping link. Pure: the caller passes the time.
//
// The first lines are written, then a line every few minutes; suppressed lines are counted, and reported in
// summaries at growing intervals while the flapping continues. Silence after suppressed lines brings the
// summary at once, so that the log never ends with an outdated state.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace holdfast::client {

class LogLimit {
public:
    using Time = std::chrono::steady_clock::time_point;

    // Returns true if the next line may be written; else counts the line.
    [[nodiscard]] bool admit(Time now) noexcept;

    struct Summary {
        std::uint64_t lines = 0;  // suppressed
        std::chrono::seconds during{0};
    };
    // Call regularly; returns a summary at most once a minute.
    [[nodiscard]] std::optional<Summary> due(Time now) noexcept;

private:
    std::uint32_t room_ = most_lines;
    Time refilled_{};
    std::uint64_t left_out_ = 0;
    Time first_left_out_{};  // valid only if left_out_ > 0, like last_left_out_
    Time last_left_out_{};
    std::uint32_t step_ = 0;  // index of the pause before the next summary

    static constexpr std::uint32_t most_lines = 20;
};

}  // namespace holdfast::client
