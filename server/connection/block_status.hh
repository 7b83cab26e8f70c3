// What NBD_CMD_BLOCK_STATUS is told of a range: base:allocation, from the extents of the volume.
#pragma once

#include <cstdint>
#include <span>

#include "common/protocol/structured_reply.hh"
#include "server/volume/volume.hh"

namespace holdfast::server {

// Fills `into` from its front and returns what it filled: at least one extent, none beyond the request, of
// which they may leave out the end: the work for one answer is bounded, whatever the file looks like. With
// cmd_flag_req_one, exactly one. Every extent is a multiple of `block`, the minimum block size of the offer,
// as offset and length of the request are. An error only where nothing could be found out.
[[nodiscard]] Result<std::span<const nbd::StatusExtent>> find_extents(
    const Volume& volume, const nbd::Request& request, std::uint32_t block,
    std::span<nbd::StatusExtent, nbd::most_extents> into);

}  // namespace holdfast::server
