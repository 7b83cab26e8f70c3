// Converts addresses to binary and back.

#include "client/boot/same_server.hh"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string>

namespace holdfast::client {
namespace {

// Lower-case host name, or address as inet_ntop(3) writes it.
std::string canonical_host(std::string host) {
    for (const int family : {AF_INET, AF_INET6}) {
        std::array<unsigned char, sizeof(in6_addr)> address{};
        std::array<char, INET6_ADDRSTRLEN> text{};
        if (::inet_pton(family, host.c_str(), address.data()) == 1 &&
            ::inet_ntop(family, address.data(), text.data(), text.size()) != nullptr)
            return text.data();
    }
    std::ranges::transform(host, host.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return host;
}

}  // namespace

ServerAddress canonical(ServerAddress server) {
    server.host = canonical_host(std::move(server.host));
    server.port_given = false;
    return server;
}

bool is_same(const ServerAddress& one, const ServerAddress& other) {
    return canonical(one) == canonical(other);
}

}  // namespace holdfast::client
