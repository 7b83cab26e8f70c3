// Attaches a device: a child process becomes the device's daemon, the parent waits for its report and then
// for the block device.
//
// The child makes the link and connects the device itself, so that the process that the kernel records for
// the device (/sys/block/nbdN/pid) is the daemon.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "client/attach/child_process.hh"
#include "client/attach/server_search.hh"
#include "client/config/choices.hh"
#include "client/config/policy.hh"
#include "client/lease/lease.hh"
#include "client/process/control_group.hh"
#include "client/process/exit_code.hh"
#include "client/process/process_title.hh"

namespace holdfast::client {

struct AttachRequest {
    SearchRequest search;
    std::optional<std::uint32_t> index;  // empty: the first free device
    Policy policy;
    Choices chosen;                    // source of the policy; adoption reports which of these it ignores
    std::vector<GrantedLease> leases;  // the lease of the link's local address is renewed
    bool read_only = false;
    bool carries_root = false;  // the root file system will be on the device
    bool may_be_lost = false;   // ... and works without the device, too
    ControlGroup control_group = ControlGroup::system;
    bool notes_on_console = false;  // the kernel's log must not repeat Notes on the console
};

struct AttachOutcome {
    ExitCode code = ExitCode::failure;
    std::uint32_t index = 0;  // valid only if the code is ok, like `daemon`
    pid_t daemon = 0;
};

// Returns when the device has its size and its partitions, or after reporting a failure through `notes`: then
// the device is detached, or `notes` reported that it is not. Ends in bounded time after `search.patience`,
// whatever the server does. A device that is already attached to one of these servers, and whose daemon has
// died, or does not run in the calling service, gets a new daemon (takeover.hh).
[[nodiscard]] AttachOutcome attach(const AttachRequest& request, ProcessTitle& title, const Notes& notes);

}  // namespace holdfast::client
