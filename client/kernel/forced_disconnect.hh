// Releases a device from the kernel.
#pragma once

#include <cstdint>
#include <string>

#include "client/kernel/netlink.hh"

namespace holdfast::client {

// Disconnects a device whose I/O may be stuck: requests waiting for a link fail with EIO. A plain DISCONNECT
// leaves requests asleep that wait for a reconnect. The caller must first shut down or abort the sockets
// (socket_diagnostics.hh). May be called after the seal.
[[nodiscard]] Result<void> release_stuck(Netlink& netlink, std::uint32_t index,
                                         const std::string& identifier);

}  // namespace holdfast::client
