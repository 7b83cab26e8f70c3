// A token bucket that refills with time; counts whole lines.

#include "server/access/log_limit.hh"

#include <fmt/core.h>

#include <algorithm>

#include "common/text/plural.hh"

namespace holdfast::server {

LogLimit::Verdict LogLimit::ask(Clock::time_point now) {
    constexpr Clock::duration each = Clock::duration(std::chrono::seconds(1)) / a_second;
    const std::lock_guard lock(mutex_);
    const auto earned = (now - counted_until_) / each;
    if (earned > 0) {
        allowance_ = static_cast<std::uint32_t>(
            std::min<std::int64_t>(at_once, allowance_ + std::min<std::int64_t>(earned, at_once)));
        counted_until_ += earned * each;
    }
    if (allowance_ == 0) {
        ++left_out_;
        return {};
    }
    --allowance_;
    return {true, std::exchange(left_out_, 0)};
}

void LogLimit::write(log::Level level, std::string_view text) {
    const Verdict verdict = ask(Clock::now());
    if (!verdict.allowed) return;
    log::write(level, verdict.left_out == 0 ? std::string(text)
                                            : fmt::format("{} ({} about other refusals suppressed before it)",
                                                          text, counted(verdict.left_out, "line")));
}

}  // namespace holdfast::server
