// Under SELinux the process that speaks to clients has a domain of its own, holdfast_server_net_t, which may
// open no disk, bind no port, and do little else: the policy says of the process what capabilities and the
// filter of system calls say already. The opener stays in holdfast_server_t, in which both were started.
//
// Without SELinux nothing of this does anything.
#pragma once

#include <expected>
#include <string>
#include <string_view>

namespace holdfast::server {

// The context to move to from this one, as the kernel shows it: the same with the type of the process that
// speaks to clients. Empty when it is not a confined server's. Pure.
[[nodiscard]] std::string serving_context(std::string_view context);

enum class ServingDomain {
    none,     // there is no SELinux, or the server was started unconfined: nothing was done
    entered,  // for good
    unknown,  // the policy has no such domain, and forbids nothing, being permissive: nothing was done
};
// Moves the calling process. Before there are threads, since the kernel moves none with several, and after
// all that is opened by a path. The error says what the policy forbids. (Tests have a folder in the place of
// /proc.)
[[nodiscard]] std::expected<ServingDomain, std::string> enter_serving_domain(const char* proc = "/proc");

}  // namespace holdfast::server
