// UUIDs of sessions, machines and boots. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "common/text/fixed_text.hh"
#include "common/text/hex.hh"

namespace holdfast::nbd {

using Uuid = std::array<std::uint8_t, 16>;

// Returns 32 lower case digits without dashes. Allocates nothing.
[[nodiscard]] inline FixedText<32> digits_of(const Uuid& uuid) {
    FixedText<32> text;
    for (const std::uint8_t byte : uuid) text.add("{:02x}", static_cast<unsigned>(byte));
    return text;
}

[[nodiscard]] inline std::optional<Uuid> read_uuid(std::string_view digits) noexcept {
    Uuid uuid{};
    if (!read_hex(digits, uuid)) return std::nullopt;
    return uuid;
}

}  // namespace holdfast::nbd
