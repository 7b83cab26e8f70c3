// Half a second of pause and up to half a second of jitter.

#include "client/retry.hh"

namespace holdfast::client {

std::uint64_t Jitter::below(std::uint64_t limit) noexcept {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_ % limit;
}

std::chrono::milliseconds pause_before(std::uint64_t attempt, std::uint64_t servers,
                                       Jitter& jitter) noexcept {
    if (attempt < servers) return std::chrono::milliseconds{0};
    return std::chrono::milliseconds{500 + static_cast<std::int64_t>(jitter.below(500))};
}

}  // namespace holdfast::client
