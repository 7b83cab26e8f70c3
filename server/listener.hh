// Sockets that wait for clients.
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "common/linux/fd.hh"
#include "server/config.hh"
#include "server/identity.hh"

namespace holdfast::server {

// Bound, listening, non-blocking sockets for an endpoint: more than one where it is a name with several
// addresses, or all addresses. Resolves names, so it may block. A UNIX socket is given to `owner` where there
// is one, with mode 0660; one that a dead server left is replaced. The error names the endpoint.
[[nodiscard]] std::expected<std::vector<Fd>, std::string> listen_on(const Endpoint& endpoint,
                                                                    const std::optional<Identity>& owner);

}  // namespace holdfast::server
