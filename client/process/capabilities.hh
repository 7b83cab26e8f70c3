// What the daemon may still do once it is settled. The only file pair that knows libcap-ng.
#pragma once

#include <string>

namespace holdfast::client {

// Besides CAP_SYS_ADMIN, which the kernel asks of whoever reconfigures a device.
struct FurtherNeeds {
    bool any_file = false;  // CAP_DAC_OVERRIDE: UNIX sockets of other users
    bool reboot = false;    // CAP_SYS_BOOT: the end of a shutdown whose root disk is away
    bool sockets = false;   // CAP_NET_ADMIN: the end of a connection that a daemon before has left
};

// Gives up every other capability, also in the bounding set. Empty, or why it could not be done.
[[nodiscard]] std::string keep_needed_capabilities(const FurtherNeeds& needs);

// Gives up what `sockets` has kept. Does nothing for a process that does not have it. May be called after the
// seal.
void give_up_socket_rights() noexcept;

// Gives up all capabilities of this process, also in the bounding set where it has the right to.
void give_up_capabilities() noexcept;

}  // namespace holdfast::client
