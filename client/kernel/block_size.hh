// Chooses the kernel device's logical block size, size and largest request from the server's offer. Pure.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>

#include "common/protocol/constants.hh"

namespace holdfast::client {

// Returns the smallest logical block size that both the server and the kernel accept: the kernel accepts
// powers of two from 512 to its page size. `wanted` is the user's choice, and must suit the server. The error
// explains why no size fits.
[[nodiscard]] std::expected<std::uint32_t, std::string> choose_block_size(const nbd::BlockSizes& offered,
                                                                          std::optional<std::uint32_t> wanted,
                                                                          std::uint32_t page_size);

// Returns the block size `table` for which the disk's partition table was made (partition_table.hh). The
// error: the server does not accept requests of that size, which is below its minimum.
[[nodiscard]] std::expected<std::uint32_t, std::string> choose_block_size_of_table(
    const nbd::BlockSizes& offered, std::uint32_t table);

// Returns the largest request, in bytes, for a server with the given maximum: a multiple of the block size
// and of 1 KiB, the kernel's unit (queue/max_sectors_kb). At most 32 MiB, the kernel's own limit; may be 0.
[[nodiscard]] std::uint32_t whole_requests(std::uint32_t maximum, std::uint32_t block_size) noexcept;

// Returns the same limit for attaching a device. The error means that the kernel cannot be limited to so
// small a maximum. Applies only to reads and writes: requests without data (trim, zeroes) may be longer.
[[nodiscard]] std::expected<std::uint32_t, std::string> choose_request_limit(const nbd::BlockSizes& offered,
                                                                             std::uint32_t block_size,
                                                                             std::uint32_t page_size);

// Returns the largest multiple of the block size within `size`. Bytes beyond it are unreachable for a block
// device of this block size.
[[nodiscard]] constexpr std::uint64_t whole_blocks(std::uint64_t size, std::uint32_t block_size) noexcept {
    return size - size % block_size;
}

}  // namespace holdfast::client
