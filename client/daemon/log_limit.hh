// Limits how many lines a link that comes and goes writes to the log. Pure: the time comes in.
//
// The first lines are written, then one every few minutes; what is left out is counted, and reported in
// summaries that become rarer while it goes on. Silence after lines that were left out brings the summary at
// once, so that the log never ends with a state that is not the last one.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

namespace holdfast::client {

class LogLimit {
public:
    using Time = std::chrono::steady_clock::time_point;

    // Whether the next line is to be written; else it is counted.
    [[nodiscard]] bool admit(Time now) noexcept;

    struct Summary {
        std::uint64_t lines = 0;  // left out
        std::chrono::seconds during{0};
    };
    // To be called now and then; a summary is due at most once a minute.
    [[nodiscard]] std::optional<Summary> due(Time now) noexcept;

private:
    std::uint32_t room_ = most_lines;
    Time refilled_{};
    std::uint64_t left_out_ = 0;
    Time first_left_out_{};  // valid only if left_out_ > 0, like the next
    Time last_left_out_{};
    std::uint32_t step_ = 0;  // of the pauses between summaries

    static constexpr std::uint32_t most_lines = 20;
};

}  // namespace holdfast::client
