// Bucket of log lines. A flapping server caused about three lines a second; with these numbers about fifty
// lines in the first hour.

#include "client/daemon/log_limit.hh"

#include <algorithm>
#include <array>

namespace holdfast::client {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr minutes between_lines{3};
constexpr seconds quiet{60};
constexpr std::array<minutes, 3> between_summaries{minutes{1}, minutes{10}, minutes{60}};

}  // namespace

bool LogLimit::admit(Time now) noexcept {
    if (refilled_ == Time{}) refilled_ = now;
    const auto earned = (now - refilled_) / between_lines;
    if (earned > 0) {
        room_ = std::min<std::uint32_t>(
            most_lines, room_ + static_cast<std::uint32_t>(std::min<decltype(earned)>(earned, most_lines)));
        refilled_ += earned * between_lines;
    }
    if (room_ > 0) {
        --room_;
        return true;
    }
    if (left_out_ == 0) first_left_out_ = now;
    last_left_out_ = now;
    ++left_out_;
    return false;
}

std::optional<LogLimit::Summary> LogLimit::due(Time now) noexcept {
    if (left_out_ == 0) return std::nullopt;
    const bool is_quiet = now - last_left_out_ >= quiet;
    if (!is_quiet && now - first_left_out_ < between_summaries[step_]) return std::nullopt;
    const Summary summary{left_out_, std::chrono::duration_cast<seconds>(now - first_left_out_)};
    left_out_ = 0;
    step_ = is_quiet ? 0 : std::min<std::uint32_t>(step_ + 1, between_summaries.size() - 1);
    return summary;
}

}  // namespace holdfast::client
