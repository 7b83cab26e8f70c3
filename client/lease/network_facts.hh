// Facts about a network that a DHCP server supplies besides the address: name servers, domains, time servers,
// host name. Neither the initramfs nor the daemon can pass them to the system's resolver, which starts later
// and may be on the root disk. Therefore both write them as lines into a file of /run/holdfast/facts, and a
// program of the system applies them (network-hooks/lease-facts).
//
// Not among the facts: MTU and routes (options 26, 33, 121). The initramfs's DHCP client has set these on the
// interface, which stays as it is; changing them at a renewal could cut the machine off from its root disk.
//
// Pure, and allocates nothing: the daemon uses them after its seal. The network is not trusted: a fact that
// is not a plain address or name is left out, as are those that do not fit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "common/text/fixed_text.hh"

namespace holdfast::client {

// Lists are separated by spaces. Empty: not supplied.
struct NetworkFacts {
    FixedText<128> name_servers;  // numeric addresses
    FixedText<256> domain;
    FixedText<512> search;        // domains
    FixedText<128> time_servers;  // numeric addresses or names
    FixedText<64> host_name;

    bool operator==(const NetworkFacts&) const = default;
};

// Adds a word to a list, unless the list has the word or no room for it.
template <std::size_t Capacity>
void add_word(FixedText<Capacity>& list, std::string_view word) noexcept;

// Adds facts of a second source: the words of lists, and a domain or a host name if there is none yet.
void add_facts(NetworkFacts& facts, const NetworkFacts& more) noexcept;

// True if the text consists of the characters of addresses and of host and domain names.
[[nodiscard]] bool is_plain_name(std::string_view text) noexcept;

using FactsText = FixedText<1280>;
// Returns a line "KEY VALUE" for each fact that was supplied, ending with a newline. Keys: dns, domain,
// search, ntp, hostname.
[[nodiscard]] FactsText lines_of(const NetworkFacts& facts) noexcept;

// Collects the facts from the options of a DHCP message. An invalid fact is left out.
class FactsReader {
public:
    // Takes an option; ignores those that contain no fact. Parts of an option that is split (RFC 3396) come
    // in their order.
    void take(std::uint8_t code, std::span<const std::uint8_t> value) noexcept;
    // Returns the facts of all options so far. The host name is not among them: a host that changes its name
    // at a renewal would surprise its programs.
    [[nodiscard]] NetworkFacts facts() const noexcept;

private:
    NetworkFacts facts_;
    FixedText<1024> search_;  // option 119 as sent: encoded as in a DNS message (RFC 3397)
};

template <std::size_t Capacity>
void add_word(FixedText<Capacity>& list, std::string_view word) noexcept {
    std::string_view rest = list.view();
    while (!rest.empty()) {
        const std::size_t end = rest.find(' ');
        if (rest.substr(0, end) == word) return;
        rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    }
    if (word.empty() || list.view().size() + 1 + word.size() > Capacity) return;
    if (!list.empty()) list.append(" ");
    list.append(word);
}

}  // namespace holdfast::client
