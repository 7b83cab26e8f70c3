// Offer to a client: size, flags and block sizes of an export.
#pragma once

#include <expected>
#include <string>

#include "common/protocol/server_handshake.hh"
#include "server/config/config.hh"
#include "server/volume/volume.hh"

namespace holdfast::server {

// Builds the offer for a volume with these traits. The error says why the volume cannot be offered.
[[nodiscard]] std::expected<nbd::Offer, std::string> make_offer(const ExportConfig& config,
                                                                const VolumeTraits& traits);

}  // namespace holdfast::server
