// Which logical block size, which size and which largest request the kernel's device gets, from what the
// server offers. Pure.
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

// The largest request, in bytes, that suits a server which takes no more than `maximum`: whole blocks, and
// whole KiB, in which the kernel counts (queue/max_sectors_kb). At most 32 MiB, the kernel's own limit; may
// be 0.
[[nodiscard]] std::uint32_t whole_requests(std::uint32_t maximum, std::uint32_t block_size) noexcept;

// The same, for the attachment of a device. The error says that the kernel cannot be held to so small a
// maximum. Reads and writes alone are meant: what carries no data (trim, zeroes) may be longer.
[[nodiscard]] std::expected<std::uint32_t, std::string> choose_request_limit(const nbd::BlockSizes& offered,
                                                                             std::uint32_t block_size,
                                                                             std::uint32_t page_size);

// The largest size of whole blocks within `size`. Beyond them lies what no block device of this block size
// can reach.
[[nodiscard]] constexpr std::uint64_t whole_blocks(std::uint64_t size, std::uint32_t block_size) noexcept {
    return size - size % block_size;
}

}  // namespace holdfast::client
