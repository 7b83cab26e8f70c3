// Finds other servers for an attached device: queries their disk, on separate connections, before anything is
// changed. Call before the daemon's seal.
#pragma once

#include <cstdint>
#include <expected>
#include <vector>

#include "client/address/server_address.hh"
#include "client/attach/child_process.hh"
#include "client/attach/child_report.hh"
#include "client/control/device_record.hh"

namespace holdfast::client {

struct NewTargets {
    std::vector<Target> targets;  // every address of every server whose name resolved
    std::uint32_t first = 0;      // target to use first: in use, or confirmed to have the disk
    bool keeps_link = false;      // the link leads to `first`
};

// Blocks: queries each address in turn, for at most attempt_patience, except the address of a link that is
// up. An unreachable server stays in the list and is reported through `notes`. Fails if an answering server
// is not usable for the device, or if no server is reachable. `written`: the device has been written to.
[[nodiscard]] std::expected<NewTargets, Failure> find_new_targets(const std::vector<ServerAddress>& servers,
                                                                  const KnownDevice& known, bool written,
                                                                  const Notes& notes);

// Returns the largest request that a server accepts, in bytes, queried without a claim; 0 if the server does
// not answer. For records of an older version, which lack it. Blocks for at most one attempt.
[[nodiscard]] std::uint32_t ask_request_limit(const Target& target, const DeviceRecord& record);

}  // namespace holdfast::client
