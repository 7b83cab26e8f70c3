// The smallest size that fits is taken, because a larger one would stop file systems made with smaller
// sectors from being mounted (XFS looks at it).

#include "client/block_size.hh"

#include <fmt/format.h>

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
            fmt::format("the server takes no requests under {} bytes, and this kernel's block "
                        "devices have blocks of at most {}; give the export a smaller minimum "
                        "block size on the server",
                        least, page_size));
    // The kernel splits requests to its own 32 MiB at most, not to a server's smaller maximum.
    if (!wanted) return least;
    if (!std::has_single_bit(*wanted) || *wanted < sector || *wanted > page_size)
        return std::unexpected(fmt::format("block size {}: it must be a power of two from {} to {}", *wanted,
                                           sector, page_size));
    if (*wanted < least)
        return std::unexpected(
            fmt::format("block size {}: the server takes no requests under {} bytes", *wanted, least));
    return *wanted;
}

}  // namespace holdfast::client
