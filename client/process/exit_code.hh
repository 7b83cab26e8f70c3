// What a script can tell from the exit status. The table in holdfast-client(8) says the same.
#pragma once

namespace holdfast::client {

enum class ExitCode : int {
    ok = 0,
    failure = 1,       // something on this machine: no kernel module, no right, a file
    usage = 2,         // the command line, or the kernel's command line, is wrong
    not_attached = 3,  // the device is not attached
    refused = 4,       // a server answered, and refused or offered what cannot be used
    unreachable = 5,   // no server could be reached
    busy = 6,          // the device is attached already (attach), or in use (detach)
    link_down = 7,     // status: the device is attached, its link is down and the daemon is at work on it
    unknown = 8,       // status: whether the link is up is not known (unattended, unknown)
};

}  // namespace holdfast::client
