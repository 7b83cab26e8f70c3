// Sockets that wait for clients.
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "common/linux/fd.hh"
#include "server/config/config.hh"
#include "server/listen/inherited_sockets.hh"
#include "server/process/identity.hh"

namespace holdfast::server {

// Bound, listening, non-blocking sockets for an endpoint: more than one where it is a name with several
// addresses, or all addresses. Resolves names and looks up paths, so it may block. A UNIX socket is given to
// `owner` where there is one, with mode 0660; one that a dead server left is replaced. What the service
// manager has given for an address is taken from `given` and not bound. The error names the endpoint.
[[nodiscard]] std::expected<std::vector<Fd>, std::string> listen_on(const Endpoint& endpoint,
                                                                    const std::optional<Identity>& owner,
                                                                    InheritedSockets& given);
// The same, with a process of its own for what may block: it is waited for 10 seconds at most. Before there
// are threads.
[[nodiscard]] std::expected<std::vector<Fd>, std::string> listen_apart(const Endpoint& endpoint,
                                                                       const std::optional<Identity>& owner,
                                                                       InheritedSockets& given);

}  // namespace holdfast::server
