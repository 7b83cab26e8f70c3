// Who may connect: an authfile's addresses and networks, and whether an address is among them.
// Pure. It fails closed: a text with a mistake in it is no list at all, so that nobody is let in by half a
// list.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "server/access/address.hh"

namespace holdfast::server {

struct Network {
    Address address;      // its host bits are zero
    unsigned length = 0;  // in bits of the IPv6 form: 96 more than an IPv4 prefix says

    [[nodiscard]] bool contains(const Address& candidate) const noexcept;
    bool operator==(const Network&) const = default;
};

// "10.0.0.1", "192.168.0.0/16", "2001:db8::/32", "[2001:db8::1]". Host bits may be set, as nbd-server's
// example has it.
[[nodiscard]] std::expected<Network, std::string> parse_network(std::string_view text);

class AccessList {
public:
    struct Mistake {
        unsigned line = 0;
        std::string text;
    };

    // Addresses and networks, separated by white space, commas or ends of lines; "#" starts a comment
    // anywhere. An empty list is valid. The error has every mistake (of a hundred), and at least one.
    [[nodiscard]] static std::expected<AccessList, std::vector<Mistake>> parse(std::string_view text);

    [[nodiscard]] bool allows(const Address& address) const noexcept;
    [[nodiscard]] std::size_t size() const noexcept { return networks_.size(); }

private:
    std::vector<Network> networks_;
};

}  // namespace holdfast::server
