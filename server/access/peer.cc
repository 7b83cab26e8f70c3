// Names a peer from its socket address, or from its credentials.

#include "server/access/peer.hh"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

namespace holdfast::server {
namespace {

Peer unix_peer(int socket) {
    ucred credentials{};
    socklen_t length = sizeof credentials;
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0)
        return {{}, "unix", "unix"};
    return {{}, fmt::format("unix:pid={},uid={}", credentials.pid, credentials.uid), "unix"};
}

}  // namespace

Peer peer_of(int socket, const sockaddr_storage& address) {
    char text[INET6_ADDRSTRLEN] = "";
    if (address.ss_family == AF_INET) {
        sockaddr_in v4{};
        std::memcpy(&v4, &address, sizeof v4);
        ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
        return {parse_address(text), fmt::format("{}:{}", text, ntohs(v4.sin_port)), text};
    }
    if (address.ss_family == AF_INET6) {
        sockaddr_in6 v6{};
        std::memcpy(&v6, &address, sizeof v6);
        Address from;
        std::ranges::copy(v6.sin6_addr.s6_addr, from.bytes.begin());
        const std::string host = to_string(from);
        const std::uint16_t port = ntohs(v6.sin6_port);
        return {from, from.is_v4() ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port),
                host};
    }
    return unix_peer(socket);
}

}  // namespace holdfast::server
