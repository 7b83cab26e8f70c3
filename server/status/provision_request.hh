// For the commands of the administrator that ask holdfast-provision: the options that they share, the
// question, and its answer on the terminal.
#pragma once

#include <optional>
#include <string>

#include "common/golden/provision_protocol.hh"
#include "common/linux/clock.hh"

namespace holdfast::server {

struct VolumeOrder {
    const char* command = "";  // for messages: "volumes"
    const char* usage = "";    // text of --help
    const char* word = "";     // option that is being read, as written
    ProvisionRequest request;
    std::string socket{default_provision_socket};
    bool yes = false;
    bool wait = false;
    Deadline deadline = no_deadline;  // valid only with `wait`
};

// Takes an option by its code of getopt_long(3): 'y' --yes, 'w' --wait, 'H' --host, 's' --socket, 'h' --help.
// Returns the exit status if the command ends with this option.
[[nodiscard]] std::optional<int> take_common_option(VolumeOrder& order, int code);

// Asks and shows the answer; waits as long as LVM takes. Returns whether the answer was that it is, or would
// be, done.
[[nodiscard]] bool ask_and_show(const VolumeOrder& order);
// Shows what would be done and, with `yes`, does it; with `wait` not before the volume has been free for ten
// seconds. Returns the exit status.
[[nodiscard]] int carry_out(VolumeOrder order);

}  // namespace holdfast::server
