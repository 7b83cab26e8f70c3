// New daemon for an attached device: replaces a live daemon by agreement (orders.hh), or a dead
// daemon from its record (record_file.hh).
#pragma once

#include <cstdint>
#include <expected>
#include <vector>

#include "client/address/server_address.hh"
#include "client/attach/child_process.hh"
#include "client/attach/child_report.hh"
#include "client/config/choices.hh"
#include "client/process/control_group.hh"
#include "client/process/exit_code.hh"
#include "client/process/process_title.hh"
#include "common/linux/fd.hh"

namespace holdfast::client {

// Changes that the takeover makes; default: none.
struct TakeoverChanges {
    std::vector<ServerAddress> servers;  // empty: keep the device's servers
    Choices choices;                     // override the device's policy
    bool only_check = false;             // query the servers and print the result
};

// Returns when the new daemon is in charge (ok), or after reporting a failure through `notes`: then the old
// daemon, if any, stays in charge, and nothing is changed. New servers are queried first, for at most
// attempt_patience each; an answering server that is not usable for the device is a refusal.
[[nodiscard]] ExitCode take_over(std::uint32_t index, const TakeoverChanges& changes, ProcessTitle& title,
                                 const Notes& notes);

// Takes the lock for attaching the device or replacing its daemon; held while the descriptor is open. Of two
// processes that both found the device free, or its daemon dead, one gets the lock.
[[nodiscard]] std::expected<Fd, Failure> take_turn(std::uint32_t index);

// Returns true if a holdfast-client has connected the device, and no daemon answers.
[[nodiscard]] bool is_orphan(std::uint32_t index);

// Returns true if a holdfast-client has connected the device.
[[nodiscard]] bool is_ours(std::uint32_t index);

// Like take_over(), for a device whose daemon has died, or is to run in a service. If `servers` is not empty,
// the device must be attached to one of these servers. The device stays as it was attached: `notes` reports
// which other servers and which of `chosen` are ignored.
[[nodiscard]] std::expected<Ready, ExitCode> adopt(std::uint32_t index,
                                                   const std::vector<ServerAddress>& servers,
                                                   const Choices& chosen, ControlGroup group,
                                                   ProcessTitle& title, const Notes& notes);

}  // namespace holdfast::client
