// A GPT has its header in the second block (UEFI specification, "GUID Partition Table"). An MBR says nothing
// of the block size, but its partitions lie within the disk.

#include "client/kernel/partition_table.hh"

#include <algorithm>
#include <string_view>

namespace holdfast::client {
namespace {

constexpr std::uint32_t small = 512;
constexpr std::uint32_t large = 4096;

// Reads a little-endian number of `length` bytes.
std::uint64_t number_at(std::span<const std::uint8_t> bytes, std::size_t at, std::size_t length) {
    std::uint64_t number = 0;
    for (std::size_t i = length; i-- > 0;) number = number << 8 | bytes[at + i];
    return number;
}

bool has_gpt(std::span<const std::uint8_t> start, std::uint32_t block) {
    constexpr std::string_view signature = "EFI PART";
    constexpr std::uint64_t smallest_header = 92;
    const auto header = start.subspan(block, small);
    const std::uint64_t header_size = number_at(header, 12, 4);
    const std::uint64_t own_block = number_at(header, 24, 8);
    return std::equal(signature.begin(), signature.end(), header.begin()) && header_size >= smallest_header &&
           header_size <= block && own_block == 1;
}

// Whether the first block is an MBR whose partitions fit the disk in small blocks, and not in large ones. The
// boot code of a file system is in the same place; its bytes are hardly ever such a table.
bool has_mbr_of_small_blocks(std::span<const std::uint8_t> start, std::uint64_t size) {
    constexpr std::size_t first_entry = 446;
    constexpr std::size_t entry_size = 16;
    constexpr std::uint8_t protective = 0xee;
    if (start[510] != 0x55 || start[511] != 0xaa) return false;
    std::uint64_t end = 0;
    for (std::size_t at = first_entry; at < 510; at += entry_size) {
        const std::uint8_t type = start[at + 4];
        if ((start[at] & 0x7f) != 0 || type == protective) return false;
        if (type != 0) end = std::max(end, number_at(start, at + 8, 4) + number_at(start, at + 12, 4));
    }
    return end != 0 && end * small <= size && end * large > size;
}

}  // namespace

std::optional<std::uint32_t> block_size_of_table(std::span<const std::uint8_t> start,
                                                 std::uint64_t size) noexcept {
    if (start.size() < table_bytes) return std::nullopt;
    const bool in_small = has_gpt(start, small);
    const bool in_large = has_gpt(start, large);
    // Both: the header of an older table was left behind.
    if (in_small != in_large) return in_small ? small : large;
    if (!in_small && has_mbr_of_small_blocks(start, size)) return small;
    return std::nullopt;
}

}  // namespace holdfast::client
