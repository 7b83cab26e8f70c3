// Reads the start of an export over a new link, before the kernel gets the link.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <vector>

#include "client/link/link.hh"

namespace holdfast::client {

// Reads the first `length` bytes, with a single request: `length` suits the offer. Blocks at most for
// `patience`. Empty: the server answered with an error, and the link remains usable. After an error of this
// function the link must be closed.
[[nodiscard]] std::expected<std::vector<std::uint8_t>, LinkError> read_first_bytes(
    const Link& link, std::uint32_t length, std::chrono::milliseconds patience);

}  // namespace holdfast::client
