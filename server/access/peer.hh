// Name and address of a connection's client.
#pragma once

#include <sys/socket.h>

#include <optional>
#include <string>

#include "common/access/access.hh"

namespace holdfast::server {

struct Peer {
    std::optional<Address> address;  // empty for a UNIX socket
    std::string name;  // "192.168.1.7:41200", "[2001:db8::7]:41200", "unix:pid=123": for the log
    std::string host;  // "192.168.1.7", "2001:db8::7", "unix": for %s in a path
};

// `socket` is connected. The name of a UNIX peer comes from its credentials in the kernel.
[[nodiscard]] Peer peer_of(int socket, const sockaddr_storage& address);

}  // namespace holdfast::server
