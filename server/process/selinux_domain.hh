// Under SELinux the process that serves clients has a domain of its own, holdfast_server_net_t, which may
// open no disk, bind no port, and do little else: the policy repeats the limits of capabilities and system
// call filter. The opener stays in holdfast_server_t, in which both processes were started.
//
// Does nothing without SELinux.
#pragma once

#include <expected>
#include <string>
#include <string_view>

namespace holdfast::server {

// Returns the context to move to from `context`, a context as the kernel shows it: the same with the type of
// the process that serves clients. Empty if `context` is not a confined server's. Pure.
[[nodiscard]] std::string serving_context(std::string_view context);

enum class ServingDomain {
    none,     // no SELinux, or the server was started unconfined: nothing was done
    entered,  // for good
    unknown,  // the policy is permissive and has no such domain: nothing was done
};
// Moves the calling process. Call before there are threads, since the kernel moves no process with several,
// and after the last open by path. The error names the operation that the policy forbids. (Tests pass a
// folder instead of /proc.)
[[nodiscard]] std::expected<ServingDomain, std::string> enter_serving_domain(const char* proc = "/proc");

}  // namespace holdfast::server
