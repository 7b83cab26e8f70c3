// Capabilities that the daemon keeps once it is set up. The only file pair that uses libcap-ng.
#pragma once

#include <string>

namespace holdfast::client {

// Needs besides CAP_SYS_ADMIN, which the kernel requires for reconfiguring a device.
struct FurtherNeeds {
    bool any_file = false;  // CAP_DAC_OVERRIDE: UNIX sockets of other users
    bool reboot = false;    // CAP_SYS_BOOT: the end of a shutdown whose root disk is unreachable
    bool sockets = false;   // CAP_NET_ADMIN: aborting a connection that an earlier daemon has left
};

// Drops every other capability, also from the bounding set. Returns an empty string, or the error.
[[nodiscard]] std::string keep_needed_capabilities(const FurtherNeeds& needs);

// Drops every capability but CAP_NET_ADMIN, for the process that restores the network. Returns an empty
// string, or the error.
[[nodiscard]] std::string keep_network_capability();

// Drops the capability kept for `sockets`, if present. May be called after the seal.
void give_up_socket_rights() noexcept;

// Drops all capabilities of this process, also from the bounding set if permitted.
void give_up_capabilities() noexcept;

}  // namespace holdfast::client
