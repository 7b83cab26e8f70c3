// SHA-256 (FIPS 180-4), for names that must not reveal their source data.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace holdfast {

[[nodiscard]] std::array<std::uint8_t, 32> sha256(std::string_view text);

}  // namespace holdfast
