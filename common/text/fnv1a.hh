// FNV-1a, a checksum that distinguishes texts. No protection against intent. Pure.
#pragma once

#include <cstdint>
#include <string_view>

namespace holdfast {

inline constexpr std::uint64_t fnv1a_basis = 0xcbf29ce484222325;

// Checksum of the bytes; of several texts in sequence if `value` is the checksum of those before.
[[nodiscard]] constexpr std::uint64_t fnv1a(std::string_view bytes,
                                            std::uint64_t value = fnv1a_basis) noexcept {
    for (const char c : bytes) value = (value ^ static_cast<std::uint8_t>(c)) * 0x100000001b3;
    return value;
}

}  // namespace holdfast
