// Different spellings of the same server. Makes no call of the kernel.
#pragma once

#include "client/address/server_address.hh"

namespace holdfast::client {

// Returns the server in its one spelling: a lower-case name, or an address as inet_ntop(3) writes the
// address; without port_given.
[[nodiscard]] ServerAddress canonical(ServerAddress server);

// True if both mean the same export of the same server, as far as the words tell: a name and its address
// differ.
[[nodiscard]] bool is_same(const ServerAddress& one, const ServerAddress& other);

}  // namespace holdfast::client
