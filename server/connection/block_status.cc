// Reports a hole as hole and zeroes, and never larger than the hole is; everything else is data.

#include "server/connection/block_status.hh"

#include <algorithm>

namespace holdfast::server {
namespace {

constexpr std::uint32_t hole_state = nbd::state_hole | nbd::state_zero;

// A block that is only partly a hole counts as data.
nbd::StatusExtent in_blocks(const Extent& extent, std::uint64_t left, std::uint64_t block) {
    const std::uint64_t whole = extent.length - extent.length % block;
    if (extent.hole && whole > 0) return {static_cast<std::uint32_t>(whole), hole_state};
    const std::uint64_t touched = whole + (whole < extent.length ? block : 0);
    return {static_cast<std::uint32_t>(std::min(touched, left)), 0};
}

}  // namespace

Result<std::span<const nbd::StatusExtent>> find_extents(
    const Volume& volume, const nbd::Request& request, std::uint32_t block,
    std::span<nbd::StatusExtent, nbd::most_extents> into) {
    const bool only_one = (request.flags & nbd::cmd_flag_req_one) != 0;
    std::size_t count = 0;
    std::uint64_t done = 0;
    // Counts the probes, since not every probe adds an extent.
    for (std::size_t looks = 0; looks < nbd::most_extents && done < request.length; ++looks) {
        const std::uint64_t left = request.length - done;
        const Result<Extent> found = volume.extent_at(request.offset + done, left);
        if (!found && count == 0) return std::unexpected(found.error());
        if (!found) break;
        const nbd::StatusExtent next = in_blocks(*found, left, std::max(block, std::uint32_t{1}));
        if (count > 0 && into[count - 1].state == next.state) {
            into[count - 1].length += next.length;
        } else if (count > 0 && only_one) {
            break;
        } else {
            into[count++] = next;
        }
        done += next.length;
    }
    return into.first(count);
}

}  // namespace holdfast::server
