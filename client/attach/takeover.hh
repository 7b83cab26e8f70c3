// A new daemon for a device that is attached already: in the place of one that lives, by agreement with it
// (control.hh), or of one that died, from the record that it left (state_file.hh).
#pragma once

#include <cstdint>
#include <expected>
#include <vector>

#include "client/address/export_address.hh"
#include "client/attach/background.hh"
#include "client/attach/report.hh"
#include "client/config/choices.hh"
#include "client/process/exit_code.hh"
#include "client/process/residence.hh"
#include "common/linux/fd.hh"

namespace holdfast::client {

// What is to be otherwise from now on; nothing, as it is made.
struct TakeoverChanges {
    std::vector<ServerAddress> servers;  // empty: those that the device has
    Choices choices;                     // over the policy that it has
    bool only_check = false;             // ask the servers and say what would be done
};

// Returns when the new daemon is in charge (ok), or with what failed already said through `notes`: then
// whoever was in charge still is, and nothing is changed. New servers are asked before that for at most
// attempt_patience each; one that answers and may not carry the device is a refusal.
[[nodiscard]] ExitCode take_over(std::uint32_t index, const TakeoverChanges& changes, ProcessTitle& title,
                                 const Notes& notes);

// The right to attach the device, or to put another daemon in charge of it, for as long as the descriptor is
// open: of two processes that both found it free, or both found its daemon dead, one gets it.
[[nodiscard]] std::expected<Fd, Failure> take_turn(std::uint32_t index);

// The device is connected, by a holdfast-client, and no daemon answers for it.
[[nodiscard]] bool is_orphan(std::uint32_t index);

// The device is connected, by a holdfast-client.
[[nodiscard]] bool is_ours(std::uint32_t index);

// The same as take_over() for a device whose daemon has died, or is to be a service's. Where `servers` are
// named, it must be known to be attached to one of them. The device stays as it was attached: `notes` says
// which of the other servers and of `chosen` are ignored.
[[nodiscard]] std::expected<Ready, ExitCode> adopt(std::uint32_t index,
                                                   const std::vector<ServerAddress>& servers,
                                                   const Choices& chosen, Home home, ProcessTitle& title,
                                                   const Notes& notes);

}  // namespace holdfast::client
