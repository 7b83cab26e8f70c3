// Name servers and domains in a router advertisement of IPv6. Pure; use only before the daemon's seal. The
// network is not trusted: an advertisement with an invalid length is refused as a whole, and a domain that is
// not a plain name is left out.
// Source: RFC 4861, section 4.2 (advertisement), and RFC 8106 (options 25, RDNSS, and 31, DNSSL).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::client {

struct RouterFacts {
    std::vector<std::string> name_servers;  // numeric; without those that the router has withdrawn
    std::vector<std::string> search;        // domains

    bool operator==(const RouterFacts&) const = default;
};

// `message`: an ICMPv6 message, from its type. A link-local name server gets %`interface`, as in resolv.conf.
// Returns nullopt for other messages and invalid ones.
[[nodiscard]] std::optional<RouterFacts> parse_router_advertisement(std::span<const std::uint8_t> message,
                                                                    std::string_view interface);

// Returns the text of a net6-IFACE.conf, as Ubuntu's client for DHCPv6 writes: parse_network_answer() reads
// it. `address`: a global address of the interface.
[[nodiscard]] std::string network_answer_text(const RouterFacts& facts, std::string_view interface,
                                              std::string_view address);

}  // namespace holdfast::client
