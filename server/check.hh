// The option --check: reports everything about the configuration, for a person or a script at a terminal.
#pragma once

#include "server/config/options.hh"

namespace holdfast::server {

// Prints the mistakes, warnings and disks of the configuration to stdout, and returns the exit status. Waits
// at most half a minute for disks and files that hang.
[[nodiscard]] int check(const Options& options);

}  // namespace holdfast::server
