// Finds the block size for which a disk's partition table was made. Pure.
//
// Partition tables count in logical blocks: a table made for blocks of 512 bytes cannot be read on a device
// with blocks of 4096, nor the reverse.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace holdfast::client {

// Number of bytes from the start of a disk that the search needs.
inline constexpr std::uint32_t table_bytes = 8192;

// Returns 512 or 4096 for a partition table that fits no other block size. `start`: the first table_bytes of
// the disk; `size`: bytes of the disk. nullopt: no table, or a table that fits both sizes (most of those with
// an MBR only).
[[nodiscard]] std::optional<std::uint32_t> block_size_of_table(std::span<const std::uint8_t> start,
                                                               std::uint64_t size) noexcept;

}  // namespace holdfast::client
