// Attaching: a child process becomes the device's daemon, the parent waits for its word and then for the
// block device.
//
// The child makes the link and connects the device itself, so that the process that the kernel notes for it
// (/sys/block/nbdN/pid) is the one that stays.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "client/attach/background.hh"
#include "client/attach/search.hh"
#include "client/config/choices.hh"
#include "client/config/policy.hh"
#include "client/lease/lease.hh"
#include "client/process/exit_code.hh"
#include "client/process/residence.hh"

namespace holdfast::client {

struct AttachRequest {
    SearchRequest search;
    std::optional<std::uint32_t> index;  // empty: the first that is free
    Policy policy;
    Choices chosen;                    // what the policy is made of, of which adoption says what it ignores
    std::vector<GrantedLease> leases;  // that of the address by which the server is reached is renewed
    bool read_only = false;
    bool carries_root = false;  // the root file system is to be on it
    Home home = Home::system;
    bool notes_on_console = false;  // the kernel's log should not repeat there what Notes has said
};

struct AttachOutcome {
    ExitCode code = ExitCode::failure;
    std::uint32_t index = 0;  // when the code is ok, like the daemon's process
    pid_t daemon = 0;
};

// Returns when the device has its size and its partitions, or with what failed already said through `notes`:
// then the device is detached, or `notes` has said that it is not. Ends in bounded time, whatever the server
// does, once `search.patience` is over. A device that is attached already to one of these servers, and whose
// daemon has died, or does not live in the service that asks, gets a new daemon (takeover.hh).
[[nodiscard]] AttachOutcome attach(const AttachRequest& request, ProcessTitle& title, const Notes& notes);

}  // namespace holdfast::client
