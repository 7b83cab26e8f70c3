// Decodes the options of RFC 2132 and the domain list of RFC 3397.

#include "client/lease/network_facts.hh"

#include <optional>

namespace holdfast::client {
namespace {

using Bytes = std::span<const std::uint8_t>;

enum Option : std::uint8_t {
    option_name_servers = 6,
    option_domain = 15,
    option_time_servers = 42,
    option_search = 119,
};

constexpr std::size_t longest_name = 253;
constexpr std::size_t longest_label = 63;
using Name = FixedText<longest_name>;

std::string_view text_of(Bytes bytes) noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Adds the IPv4 addresses of a value, except 0.0.0.0.
template <std::size_t Capacity>
void add_addresses(FixedText<Capacity>& list, Bytes value) noexcept {
    for (; value.size() >= 4; value = value.subspan(4))
        if (value[0] != 0) add_word(list, Name::of("{}.{}.{}.{}", value[0], value[1], value[2], value[3]));
}

// Decodes the name at `at`, and returns the position after it. Returns nullopt if the name is cut off, longer
// than a name may be, or a pointer leads forward.
std::optional<std::size_t> take_name(Bytes wire, std::size_t at, Name& name) noexcept {
    constexpr std::uint8_t pointer = 0xc0;
    std::optional<std::size_t> end;
    for (int pointers = 0; at < wire.size() && pointers < 16;) {
        const std::uint8_t length = wire[at];
        if (length == 0) return end.value_or(at + 1);
        if (length >= pointer) {
            if (at + 1 == wire.size()) return std::nullopt;
            const std::size_t target = std::size_t{length} % pointer << 8 | wire[at + 1];
            if (target >= at) return std::nullopt;
            end = end.value_or(at + 2);
            at = target;
            ++pointers;
            continue;
        }
        if (length > longest_label || wire.size() - at - 1 < length ||
            name.view().size() + 1 + length > longest_name)
            return std::nullopt;
        if (!name.empty()) name.append(".");
        name.append(text_of(wire.subspan(at + 1, length)));
        at += 1 + std::size_t{length};
    }
    return std::nullopt;
}

template <std::size_t Capacity>
void add_words(FixedText<Capacity>& list, std::string_view words) noexcept {
    while (!words.empty()) {
        const std::size_t end = words.find(' ');
        add_word(list, words.substr(0, end));
        words = end == std::string_view::npos ? std::string_view{} : words.substr(end + 1);
    }
}

}  // namespace

void add_facts(NetworkFacts& facts, const NetworkFacts& more) noexcept {
    add_words(facts.name_servers, more.name_servers);
    add_words(facts.search, more.search);
    add_words(facts.time_servers, more.time_servers);
    if (facts.domain.empty()) facts.domain = more.domain;
    if (facts.host_name.empty()) facts.host_name = more.host_name;
}

bool is_plain_name(std::string_view text) noexcept {
    constexpr std::string_view plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_:%";
    return !text.empty() && text.size() <= longest_name &&
           text.find_first_not_of(plain) == std::string_view::npos;
}

FactsText lines_of(const NetworkFacts& facts) noexcept {
    FactsText lines;
    const auto add = [&](std::string_view key, std::string_view value) {
        if (!value.empty()) lines.add("{} {}\n", key, value);
    };
    add("dns", facts.name_servers);
    add("domain", facts.domain);
    add("search", facts.search);
    add("ntp", facts.time_servers);
    add("hostname", facts.host_name);
    return lines;
}

void FactsReader::take(std::uint8_t code, Bytes value) noexcept {
    switch (code) {
        case option_name_servers: return add_addresses(facts_.name_servers, value);
        case option_time_servers: return add_addresses(facts_.time_servers, value);
        case option_domain: {
            std::string_view text = text_of(value);
            while (text.ends_with('\0')) text.remove_suffix(1);
            if (is_plain_name(text)) facts_.domain = text;
            return;
        }
        case option_search: return search_.append(text_of(value));
        default: return;
    }
}

NetworkFacts FactsReader::facts() const noexcept {
    NetworkFacts facts = facts_;
    const std::string_view text = search_.view();
    const Bytes wire(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
    for (std::size_t at = 0; at < wire.size();) {
        Name name;
        const auto next = take_name(wire, at, name);
        if (!next) break;
        if (is_plain_name(name)) add_word(facts.search, name);
        at = *next;
    }
    return facts;
}

}  // namespace holdfast::client
