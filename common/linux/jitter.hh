// Random numbers for pauses, so that a thousand clients do not retry at the same moment. Pure.
#pragma once

#include <cstdint>

namespace holdfast {

// A xorshift generator: predictable, not for security.
class Jitter {
public:
    explicit Jitter(std::uint64_t seed) noexcept : state_(seed != 0 ? seed : 0x9e3779b97f4a7c15) {}
    // Returns a number evenly distributed over 0 .. limit-1. `limit` is not 0.
    [[nodiscard]] std::uint64_t below(std::uint64_t limit) noexcept {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return state_ % limit;
    }

private:
    std::uint64_t state_;
};

}  // namespace holdfast
