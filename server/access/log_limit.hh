// Keeps strangers from filling the log. What a client may cause without any right to anything is worth a
// line, and a flood of it is not: a few at once, then so many a second, and the next line says how many were
// left out.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "common/linux/log.hh"

namespace holdfast::server {

class LogLimit {
public:
    using Clock = std::chrono::steady_clock;
    static constexpr std::uint32_t at_once = 32;
    static constexpr std::uint32_t a_second = 4;

    // Whether a line may be written now; if so, how many were not since the last one.
    struct Verdict {
        bool allowed = false;
        std::uint64_t left_out = 0;
    };
    [[nodiscard]] Verdict ask(Clock::time_point now);
    // Writes the line, or counts it. From any thread.
    void write(log::Level level, std::string_view text);

private:
    std::mutex mutex_;
    std::uint32_t allowance_ = at_once;
    Clock::time_point counted_until_{};
    std::uint64_t left_out_ = 0;
};

}  // namespace holdfast::server
