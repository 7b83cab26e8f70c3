// Takes from the process that speaks to clients everything that it does not need: capabilities, the way to
// new privileges, and all system calls but those of serving what is open already.
#pragma once

#include <expected>
#include <string>

#include "common/linux/fd.hh"
#include "common/linux/result.hh"

namespace holdfast::server {

// Nothing that is executed gives any privilege, from here on. While the process may still do that (as root),
// so before it becomes another user.
[[nodiscard]] Result<void> close_way_to_privileges();

// No capability is left. Before there are threads.
[[nodiscard]] Result<void> drop_capabilities();

// From here on, in this thread and all that it starts, only the calls of confinement.cc's lists are carried
// out. What is clearly an attack ends the process. Everything else that is not on the lists fails with EPERM,
// and its number can be read (an int) from the descriptor that is returned, once for each call: what was
// forgotten there shows itself, and costs no disk. The error says why the kernel would not have it. In a
// build with sanitizers, which need more, nothing happens, and there is no descriptor.
[[nodiscard]] std::expected<Fd, std::string> confine_system_calls();

// "openat", for the log.
[[nodiscard]] std::string name_of_call(int number);

}  // namespace holdfast::server
