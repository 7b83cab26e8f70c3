// Pauses of at most half a second, so that a server's return is noticed after half of that on average, with a
// random part that keeps clients apart; longer after many failures.

#include "client/daemon/retry.hh"

namespace holdfast::client {
namespace {

using std::chrono::milliseconds;

struct Spread {
    std::int64_t least;
    std::uint64_t width;
};
// Milliseconds; `late` applies after this many attempts (half a minute or more).
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
