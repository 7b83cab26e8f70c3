// Which logical block size and which size the kernel's device gets, from what the server offers. Pure.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>

#include "common/protocol/constants.hh"

namespace holdfast::client {

// The smallest logical block size that both the server and the kernel take: the kernel takes the powers of
// two from 512 up to its page size. `wanted` is the person's choice; it must suit the server. The error says
// why nothing fits.
[[nodiscard]] std::expected<std::uint32_t, std::string> choose_block_size(const nbd::BlockSizes& offered,
                                                                          std::optional<std::uint32_t> wanted,
                                                                          std::uint32_t page_size);

// The largest size of whole blocks within `size`. Beyond them lies what no block device of this block size
// can reach.
[[nodiscard]] constexpr std::uint64_t whole_blocks(std::uint64_t size, std::uint32_t block_size) noexcept {
    return size - size % block_size;
}

}  // namespace holdfast::client
