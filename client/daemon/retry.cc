// Less than half a second of pause, so that a server's return is noticed in half of that on average, and of
// a width that keeps clients apart; longer when nothing has answered for a while.

#include "client/daemon/retry.hh"

namespace holdfast::client {
namespace {

using std::chrono::milliseconds;

struct Spread {
    std::int64_t least;
    std::uint64_t width;
};
// In milliseconds. After so many attempts (half a minute or more) nobody counts on the next second any more.
constexpr Spread early{250, 250};
constexpr Spread late{500, 500};
constexpr std::uint64_t early_attempts = 80;

}  // namespace

milliseconds pause_before(std::uint64_t attempt, std::uint64_t servers, Jitter& jitter) noexcept {
    if (attempt < servers) return milliseconds{0};
    const Spread& spread = attempt < servers + early_attempts ? early : late;
    return milliseconds{spread.least + static_cast<std::int64_t>(jitter.below(spread.width))};
}

}  // namespace holdfast::client
