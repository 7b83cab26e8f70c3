// Chooses the smallest size that fits: a larger size would prevent mounting file systems made with smaller
// sectors (XFS checks this).

#include "client/kernel/block_size.hh"

#include <fmt/core.h>

#include <algorithm>
#include <bit>

namespace holdfast::client {

std::expected<std::uint32_t, std::string> choose_block_size(const nbd::BlockSizes& offered,
                                                            std::optional<std::uint32_t> wanted,
                                                            std::uint32_t page_size) {
    constexpr std::uint32_t sector = 512;
    const std::uint32_t least = offered.minimum < sector ? sector : offered.minimum;
    if (!std::has_single_bit(least))
        return std::unexpected(
            fmt::format("the server's minimum block size is {}, not a power of two", least));
    if (least > page_size)
        return std::unexpected(
            fmt::format("the server accepts no requests under {} bytes, and this kernel's block devices have "
                        "blocks of at most {}; give the export a smaller minimum block size on the server",
                        least, page_size));
    if (!wanted) return least;
    if (!std::has_single_bit(*wanted) || *wanted < sector || *wanted > page_size)
        return std::unexpected(fmt::format("block size {}: it must be a power of two from {} to {}", *wanted,
                                           sector, page_size));
    if (*wanted < least)
        return std::unexpected(
            fmt::format("block size {}: the server accepts no requests under {} bytes", *wanted, least));
    return *wanted;
}

std::expected<std::uint32_t, std::string> choose_block_size_of_table(const nbd::BlockSizes& offered,
                                                                     std::uint32_t table) {
    if (table >= offered.minimum) return table;
    return std::unexpected(fmt::format(
        "the partition table on this disk was made for blocks of {} bytes, and the server accepts "
        "no requests under {}; set cache = writeback for the export on the server, or to use the "
        "disk without its partitions, set block-size={}",
        table, offered.minimum, offered.minimum));
}

std::uint32_t whole_requests(std::uint32_t maximum, std::uint32_t block_size) noexcept {
    constexpr std::uint32_t kernel_unit = 1024;
    const std::uint32_t most = std::min(maximum, nbd::largest_payload);
    return most - most % std::max(kernel_unit, block_size);
}

std::expected<std::uint32_t, std::string> choose_request_limit(const nbd::BlockSizes& offered,
                                                               std::uint32_t block_size,
                                                               std::uint32_t page_size) {
    const std::uint32_t limit = whole_requests(offered.maximum, block_size);
    if (limit >= page_size) return limit;
    return std::unexpected(
        fmt::format("the server accepts no requests over {} bytes, and this kernel's request limit cannot be "
                    "set below {}; give the export a larger maximum block size on the server",
                    offered.maximum, page_size));
}

}  // namespace holdfast::client
