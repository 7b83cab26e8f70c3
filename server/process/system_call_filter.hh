// Removes everything unneeded from the process that serves clients: capabilities, ways to gain privileges,
// and all system calls except those for serving open files.
#pragma once

#include <expected>
#include <string>

#include "common/linux/fd.hh"
#include "common/linux/result.hh"

namespace holdfast::server {

// Sets no_new_privs and empties the bounding set, so that no executed program gains privileges. Call as root,
// before switching to another user.
[[nodiscard]] Result<void> close_way_to_privileges();

// Drops all capabilities. Call before there are threads.
[[nodiscard]] Result<void> drop_capabilities();

// Limits this thread and all threads that it starts to the system calls on system_call_filter.cc's lists. A
// call that is clearly an attack ends the process. Every other unlisted call fails with EPERM, and its number
// (an int) can be read once from the returned descriptor: a call missing from the lists is noticed, but does
// not stop the service. The error says why the kernel rejected the filter. In a build with sanitizers, which
// need more calls, does nothing and returns no descriptor.
[[nodiscard]] std::expected<Fd, std::string> confine_system_calls();

// Returns a call's name, such as "openat", for the log.
[[nodiscard]] std::string name_of_call(int number);

}  // namespace holdfast::server
