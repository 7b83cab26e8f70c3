// Options of an advertisement, each with its length checked before its content is read.

#include "client/boot/router_advertisement.hh"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/core.h>

#include "client/lease/network_facts.hh"

namespace holdfast::client {
namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::uint8_t router_advertisement = 134;
constexpr std::size_t header_size = 16;
constexpr std::size_t option_unit = 8;  // unit of an option's length
constexpr std::uint8_t name_servers_option = 25;
constexpr std::uint8_t search_option = 31;
constexpr std::size_t option_header_size = 8;  // type, length, reserved, lifetime
constexpr std::size_t most_words = 16;         // longest list; no resolver uses more

bool is_withdrawn(Bytes option) {
    return std::ranges::all_of(option.subspan(4, 4), [](auto byte) { return byte == 0; });
}

void add(std::vector<std::string>& list, std::string word) {
    if (list.size() < most_words && std::ranges::find(list, word) == list.end())
        list.push_back(std::move(word));
}

bool take_servers(Bytes option, std::string_view interface, RouterFacts& facts) {
    const Bytes addresses = option.subspan(option_header_size);
    if (addresses.empty() || addresses.size() % sizeof(in6_addr) != 0) return false;
    if (is_withdrawn(option)) return true;
    for (std::size_t at = 0; at < addresses.size(); at += sizeof(in6_addr)) {
        in6_addr address{};
        std::memcpy(&address, addresses.data() + at, sizeof address);
        std::array<char, INET6_ADDRSTRLEN> text{};
        if (IN6_IS_ADDR_UNSPECIFIED(&address) || IN6_IS_ADDR_MULTICAST(&address)) continue;
        if (::inet_ntop(AF_INET6, &address, text.data(), text.size()) == nullptr) continue;
        add(facts.name_servers,
            IN6_IS_ADDR_LINKLOCAL(&address) ? fmt::format("{}%{}", text.data(), interface) : text.data());
    }
    return true;
}

// Takes the labels of a domain and its end from the front. Returns an empty text at the padding, nullopt for
// an invalid length.
std::optional<std::string> take_domain(Bytes& rest) {
    constexpr std::size_t longest_label = 63;
    std::string name;
    while (!rest.empty()) {
        const std::size_t length = rest.front();
        rest = rest.subspan(1);
        if (length == 0) return name;
        if (length > longest_label || length > rest.size()) return std::nullopt;
        name += (name.empty() ? "" : ".") +
                std::string(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(length));
        rest = rest.subspan(length);
    }
    return std::nullopt;
}

bool take_search(Bytes option, RouterFacts& facts) {
    Bytes rest = option.subspan(option_header_size);
    while (!rest.empty()) {
        std::optional<std::string> name = take_domain(rest);
        if (!name) return false;
        if (name->empty()) break;
        if (is_plain_name(*name) && !is_withdrawn(option)) add(facts.search, std::move(*name));
    }
    return std::ranges::all_of(rest, [](auto byte) { return byte == 0; });
}

}  // namespace

std::optional<RouterFacts> parse_router_advertisement(Bytes message, std::string_view interface) {
    if (message.size() < header_size || message[0] != router_advertisement || message[1] != 0)
        return std::nullopt;
    RouterFacts facts;
    for (Bytes rest = message.subspan(header_size); !rest.empty();) {
        const std::size_t length = rest.size() < 2 ? 0 : rest[1] * option_unit;
        if (length == 0 || length > rest.size()) return std::nullopt;
        const Bytes option = rest.first(length);
        const bool is_sound = option[0] == name_servers_option ? take_servers(option, interface, facts)
                              : option[0] == search_option     ? take_search(option, facts)
                                                               : true;
        if (!is_sound) return std::nullopt;
        rest = rest.subspan(length);
    }
    return facts;
}

std::string network_answer_text(const RouterFacts& facts, std::string_view interface,
                                std::string_view address) {
    std::string text = fmt::format("DEVICE6='{}'\nPROTO6='ra'\nIPV6ADDR='{}'\n", interface, address);
    // parse_network_answer() takes several name servers from a value.
    std::string servers;
    std::string search;
    for (const std::string& server : facts.name_servers) servers += (servers.empty() ? "" : " ") + server;
    for (const std::string& name : facts.search) search += (search.empty() ? "" : " ") + name;
    text += fmt::format("IPV6DNS0='{}'\n", servers);
    if (!search.empty()) text += fmt::format("IPV6DOMAINSEARCH='{}'\n", search);
    return text;
}

}  // namespace holdfast::client
