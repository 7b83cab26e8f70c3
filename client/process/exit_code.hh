// Exit statuses for scripts. holdfast-client(8) has the same table.
#pragma once

namespace holdfast::client {

enum class ExitCode : int {
    ok = 0,
    failure = 1,       // a local failure: no kernel module, no permission, a file
    usage = 2,         // invalid command line, or invalid kernel command line
    not_attached = 3,  // the device is not attached
    refused = 4,       // a server refused, or its offer is unusable
    unreachable = 5,   // no server was reachable
    busy = 6,          // the device is already attached (attach), or in use (detach)
    link_down = 7,     // the device is attached, its link is down and the daemon is reconnecting
    unknown = 8,       // status: the link's state is not known (unattended, unknown)
    not_fenced = 9,    // detach --force: detached, but the server may still apply old writes
};

}  // namespace holdfast::client
