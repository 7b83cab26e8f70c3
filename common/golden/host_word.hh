// Hosts that a client names in the export that it asks for: the section [root-*] with %n or %m in exportname
// serves the names that match, each with a volume of its own. Pure. The name comes from the network, so that
// few characters are accepted, and no others are passed on.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

// Source of the word in a volume's name.
enum class HostKind : std::uint8_t {
    address,  // %s: the client's address
    name,     // %n: a name in the name of the export
    mac,      // %m: a MAC address in the name of the export
};

// Name of a section, around its "*".
struct NamePattern {
    std::string before;
    std::string after;

    bool operator==(const NamePattern&) const = default;
};

// Parses BEFORE*AFTER. The error says how to correct the name.
[[nodiscard]] std::expected<NamePattern, std::string> parse_name_pattern(std::string_view name);

// Returns the word of a volume for a host's name or MAC address, as a client or the administrator writes it;
// nullopt: neither. A name consists of lower-case letters, digits, "-" and "."; a MAC address of twelve
// hexadecimal digits, with "-", ":" or nothing between the bytes. Not for HostKind::address.
[[nodiscard]] std::optional<std::string> host_word(HostKind kind, std::string_view text);

// Returns the word in the name of an export; nullopt: the name is not one of the pattern.
[[nodiscard]] std::optional<std::string> word_in(const NamePattern& pattern, HostKind kind,
                                                 std::string_view name);
// The name of the export for the word. Each spelling of a MAC address has the same name.
[[nodiscard]] std::string name_for(const NamePattern& pattern, HostKind kind, std::string_view word);

// Whether a name could match both patterns.
[[nodiscard]] bool may_both_match(const NamePattern& one, const NamePattern& other);

}  // namespace holdfast
