// Asks the routers of IPv6 for name servers: the initramfs of Debian's initramfs-tools has no program for
// that. Use only before the daemon's seal.
//
// Each interface sends router solicitations (RFC 4861, section 6.3.7) until a router has answered with a name
// server and the kernel has made a global address from the router's prefix. Needs CAP_NET_RAW.
#pragma once

#include <chrono>
#include <expected>
#include <string>
#include <vector>

namespace holdfast::client {

// Writes RUN/net6-IFACE.conf for the first interface with a name server (router_advertisement.hh); true if
// there was such an interface within the patience. The error names what failed.
[[nodiscard]] std::expected<bool, std::string> ask_routers(const std::vector<std::string>& interfaces,
                                                           const std::string& run,
                                                           std::chrono::milliseconds patience);

}  // namespace holdfast::client
