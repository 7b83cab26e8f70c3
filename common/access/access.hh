// Access list of an authfile: its addresses and networks, and whether they contain a client's address. Pure.
// Fails closed: a text with any mistake yields no list, so half a list never admits a client.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "common/access/address.hh"

namespace holdfast {

struct Network {
    Address address;      // host bits are zero
    unsigned length = 0;  // in bits of the IPv6 form: an IPv4 prefix length plus 96

    [[nodiscard]] bool contains(const Address& candidate) const noexcept;
    bool operator==(const Network&) const = default;
};

// Parses "10.0.0.1", "192.168.0.0/16", "2001:db8::/32", "[2001:db8::1]". Host bits may be set, as in
// nbd-server's example.
[[nodiscard]] std::expected<Network, std::string> parse_network(std::string_view text);

class AccessList {
public:
    struct Mistake {
        unsigned line = 0;
        std::string text;
    };

    // Parses addresses and networks, separated by white space, commas or line ends; "#" starts a comment
    // anywhere. An empty list is valid. The error holds every mistake (at most a hundred, at least the
    // first).
    [[nodiscard]] static std::expected<AccessList, std::vector<Mistake>> parse(std::string_view text);

    [[nodiscard]] bool allows(const Address& address) const noexcept;
    [[nodiscard]] std::size_t size() const noexcept { return networks_.size(); }

private:
    std::vector<Network> networks_;
};

}  // namespace holdfast
