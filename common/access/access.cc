// Parses the lines of an authfile into networks, and compares addresses with them.

#include "common/access/access.hh"

#include <fmt/core.h>

#include <algorithm>

#include "common/text/number.hh"
#include "common/text/text.hh"

namespace holdfast {
namespace {

std::optional<unsigned> parse_length(std::string_view text) {
    constexpr std::size_t most_digits = 3;
    return text.size() > most_digits ? std::nullopt : number_of<unsigned>(text);
}

}  // namespace

// A short IPv6 prefix such as ::/0 contains the bits of ::ffff:0:0/96, but is not meant to admit IPv4.
bool Network::contains(const Address& candidate) const noexcept {
    if (candidate.is_v4() && length < mapped_bits) return false;
    return masked(candidate, length) == address;
}

std::expected<Network, std::string> parse_network(std::string_view text) {
    const std::size_t slash = text.find('/');
    std::string_view host = text.substr(0, slash);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    const std::optional<Address> address = parse_address(host);
    if (!address) {
        return std::unexpected(
            fmt::format("\"{}\" is not an IPv4 or IPv6 address or a network like 192.168.1.0/24", text));
    }
    const bool v4 = host.find(':') == std::string_view::npos;
    const unsigned longest = v4 ? 32 : 128;
    unsigned length = longest;
    if (slash != std::string_view::npos) {
        const std::optional<unsigned> given = parse_length(text.substr(slash + 1));
        if (!given || *given > longest) {
            return std::unexpected(
                fmt::format("\"{}\": the prefix length after \"/\" must be from 0 to {}", text, longest));
        }
        length = *given;
    }
    if (v4) length += mapped_bits;
    return Network{masked(*address, length), length};
}

std::expected<AccessList, std::vector<AccessList::Mistake>> AccessList::parse(std::string_view text) {
    constexpr std::size_t most_mistakes = 100;  // bounds the output if the file is not an authfile
    AccessList list;
    std::vector<Mistake> mistakes;
    for (unsigned number = 1; !text.empty(); ++number) {
        std::string_view line = take_line(text);
        line = line.substr(0, line.find('#'));
        while (!line.empty()) {
            std::string_view words = take_until(line, ',');
            for (std::string_view word = take_word(words); !word.empty(); word = take_word(words)) {
                std::expected<Network, std::string> network = parse_network(word);
                if (network) {
                    list.networks_.push_back(*network);
                } else if (mistakes.size() < most_mistakes) {
                    mistakes.push_back({number, std::move(network.error())});
                }
            }
        }
    }
    if (!mistakes.empty()) return std::unexpected(std::move(mistakes));
    return list;
}

bool AccessList::allows(const Address& address) const noexcept {
    return std::ranges::any_of(networks_, [&](const Network& network) { return network.contains(address); });
}

}  // namespace holdfast
