// Rate limit that keeps strangers from filling the log. Events that any client can cause without
// authorization are logged, but not in a flood: a burst first, then a fixed number of lines a second; the
// next line says how many were dropped.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "common/linux/clock.hh"
#include "common/linux/log.hh"

namespace holdfast::server {

class LogLimit {
public:
    static constexpr std::uint32_t at_once = 32;
    static constexpr std::uint32_t a_second = 4;

    // Whether a line may be written now; if so, the number of lines dropped since the previous line.
    struct Verdict {
        bool allowed = false;
        std::uint64_t left_out = 0;
    };
    [[nodiscard]] Verdict ask(Clock::time_point now);
    // Writes the line, or counts the line as dropped. Thread-safe.
    void write(log::Level level, std::string_view text);

private:
    std::mutex mutex_;
    std::uint32_t allowance_ = at_once;
    Clock::time_point counted_until_{};
    std::uint64_t left_out_ = 0;
};

}  // namespace holdfast::server
