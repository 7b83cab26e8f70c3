// Holdfast's private option: who is connecting (session, slot, generation), and to what (boot identity,
// export identity). With it a server fences a client's older connections before it lets the newer one begin.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "common/protocol/constants.hh"

namespace holdfast::nbd {

using Uuid = std::array<std::uint8_t, 16>;

struct SessionRequest {
    Uuid session{};
    std::uint32_t slot = 0;
    std::uint32_t generation = 0;
    std::string_view export_name;  // UTF-8, may be empty (the default export); points into the decoded bytes
};

struct SessionAnswer {
    Uuid boot_identity{};
    std::string_view export_identity;  // UTF-8; points into the decoded bytes
};

// Of the data, without the heads of option and reply.
inline constexpr std::size_t longest_session_request = sizeof(Uuid) + 8 + longest_string;
inline constexpr std::size_t longest_session_answer = sizeof(Uuid) + longest_string;

// The data of the option and of the reply, without their heads. Encoding writes into `out` and returns the
// number of bytes, or nullopt where they do not fit, or a text is over longest_string or has a NUL. Decoding
// gives nullopt for malformed data: too short, too long, a NUL in the text.
[[nodiscard]] std::optional<std::size_t> encode(const SessionRequest& request,
                                                std::span<std::uint8_t> out) noexcept;
[[nodiscard]] std::optional<std::size_t> encode(const SessionAnswer& answer,
                                                std::span<std::uint8_t> out) noexcept;
[[nodiscard]] std::optional<SessionRequest> decode_session_request(
    std::span<const std::uint8_t> data) noexcept;
[[nodiscard]] std::optional<SessionAnswer> decode_session_answer(std::span<const std::uint8_t> data) noexcept;

}  // namespace holdfast::nbd
