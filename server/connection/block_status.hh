// Extents for NBD_CMD_BLOCK_STATUS: the context base:allocation, derived from the extents of the volume.
#pragma once

#include <cstdint>
#include <span>

#include "common/protocol/structured_reply.hh"
#include "server/volume/volume.hh"

namespace holdfast::server {

// Fills `into` from its front and returns the filled part: at least one extent. No extent reaches beyond the
// request; the end of the request may stay uncovered, since the work for a single reply is bounded whatever
// the file's layout. With cmd_flag_req_one, exactly one extent. Every extent is a multiple of `block`, the
// minimum block size of the offer, as are offset and length of the request. Fails only if no extent at all
// could be determined.
[[nodiscard]] Result<std::span<const nbd::StatusExtent>> find_extents(
    const Volume& volume, const nbd::Request& request, std::uint32_t block,
    std::span<nbd::StatusExtent, nbd::most_extents> into);

}  // namespace holdfast::server
