// The server's statement about the next boot of this machine, for the commands that show it.
#pragma once

#include <cstdint>
#include <optional>

#include "common/linux/clock.hh"
#include "common/protocol/boot_manifest.hh"

namespace holdfast::client {

// Asks the server of the root disk, which must be attached as nbd`index`; nothing is awaited after `end`.
// Nullopt if this is not the root disk, the server has not taken boot files from this machine since the boot
// (so that no other server is bothered), or it does not answer.
[[nodiscard]] std::optional<nbd::BootPublished> published_for_root(std::uint32_t index, Deadline end);

}  // namespace holdfast::client
