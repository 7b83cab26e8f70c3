// Listening sockets for clients.
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "common/linux/fd.hh"
#include "server/config/config.hh"
#include "server/listen/inherited_sockets.hh"
#include "server/process/service_user.hh"

namespace holdfast::server {

// Returns bound, listening, non-blocking sockets for an endpoint; several for a name with several addresses,
// or for all addresses. Resolves names and paths, so may block. A UNIX socket has mode 0660 and belongs to
// `owner`, if set; a socket left by a dead server is replaced. A socket of the service manager for an address
// is taken from `given` instead of bound. The error names the endpoint.
[[nodiscard]] std::expected<std::vector<Fd>, std::string> listen_on(const Endpoint& endpoint,
                                                                    const std::optional<ServiceUser>& owner,
                                                                    InheritedSockets& given);
// The same, with a separate process for the calls that may block, and a limit of 10 seconds. Call before
// there are threads.
[[nodiscard]] std::expected<std::vector<Fd>, std::string> listen_apart(
    const Endpoint& endpoint, const std::optional<ServiceUser>& owner, InheritedSockets& given);

}  // namespace holdfast::server
