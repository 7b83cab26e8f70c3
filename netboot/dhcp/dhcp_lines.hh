// Lines for DHCP servers that give each firmware its loader: by the architecture in option 93 (RFC 4578) and,
// for iPXE, by its user class or option 175. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace holdfast::netboot {

enum class DhcpServer { dnsmasq, isc, kea };

[[nodiscard]] std::optional<DhcpServer> dhcp_server_of(std::string_view word);

struct DhcpFacts {
    std::string folder;       // the tree, absolute
    std::string address;      // IPv4 address of the TFTP server
    std::string http;         // base of the tree on the web server, without a final slash
    std::string http_loader;  // for UEFI HTTP boot; empty: no loader of the tree can be booted so
    std::string proxy;  // network such as "192.0.2.0": another DHCP server gives the addresses; dnsmasq only
    std::string command_for_ipxe = {};  // adds iPXE to the loaders of the tree
};

// The text for a file of its own (dnsmasq), to be included in dhcpd.conf (isc), or the value of "Dhcp4" /
// "client-classes" (kea).
[[nodiscard]] std::string dhcp_lines(DhcpServer server, const DhcpFacts& facts);

}  // namespace holdfast::netboot
