// Other servers for a device that is attached already: they are asked for the disk, on connections of their
// own, before anything is changed. For before the daemon's seal.
#pragma once

#include <cstdint>
#include <expected>
#include <vector>

#include "client/address/export_address.hh"
#include "client/attach/background.hh"
#include "client/attach/report.hh"
#include "client/control/record.hh"

namespace holdfast::client {

struct NewTargets {
    std::vector<Target> targets;  // every address of every server whose name could be resolved
    std::uint32_t first = 0;      // to be used first: it is in use, or has said that it has the disk
    bool keeps_link = false;      // the link leads to the first
};

// Blocks: asks each address in turn, for at most attempt_patience, but not the one whose link is up. A server
// that cannot be reached stays in the list, which `notes` is told. The failure is that one answered and may
// not carry the device, or none could be reached. `written`: the device has been written to.
[[nodiscard]] std::expected<NewTargets, Failure> find_new_targets(const std::vector<ServerAddress>& servers,
                                                                  const KnownDevice& known, bool written,
                                                                  const Notes& notes);

// The largest request that a server takes, in bytes, asked of it without a claim; 0 where it does not answer.
// For a record of an older version, which does not say it. Blocks for one attempt at most.
[[nodiscard]] std::uint32_t ask_request_limit(const Target& target, const DeviceRecord& record);

}  // namespace holdfast::client
