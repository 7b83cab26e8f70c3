// Seed for jitter. Not for secrets.
#pragma once

#include <sys/random.h>

#include <chrono>
#include <cstdint>

namespace holdfast::client {

// Never blocks; may be called after the seal.
[[nodiscard]] inline std::uint64_t random_seed() noexcept {
    std::uint64_t value = 0;
    // If no randomness is available yet, use the time and the address of a variable.
    if (::getrandom(&value, sizeof value, GRND_NONBLOCK) != sizeof value)
        value = static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count()) ^
                reinterpret_cast<std::uintptr_t>(&value);
    return value;
}

}  // namespace holdfast::client
