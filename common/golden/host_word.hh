// Words in the names of volumes: an address, a host, or a session. Hosts are named by clients in the export
// that they ask for: the section [root-*] with %n or %m in exportname serves the names that match, each with
// a volume of its own. Pure. The words come from the network, so that few characters are accepted, and no
// others are passed on.
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
    session,  // copyonwrite: the client's session, or the connection of a client without one
};

// Name of a section, around its "*".
struct NamePattern {
    std::string before;
    std::string after;

    bool operator==(const NamePattern&) const = default;
};

// Parses BEFORE*AFTER. The error says how to correct the name.
[[nodiscard]] std::expected<NamePattern, std::string> parse_name_pattern(std::string_view name);

// Returns the word of a volume for a host's name, MAC address or session, as a client or the administrator
// writes it; nullopt: none of them. A name consists of lower-case letters, digits, "-" and "."; a MAC address
// of twelve hexadecimal digits, with "-", ":" or nothing between the bytes; a session of 32 hexadecimal
// digits in lower case, and a connection of "c" and 32 such digits. Not for HostKind::address.
[[nodiscard]] std::optional<std::string> host_word(HostKind kind, std::string_view text);

// The word of a client's session, whose 128-bit ID stays secret.
[[nodiscard]] std::string session_word(std::string_view id);
// The word of a connection whose client has no session; `id`: 128 random bits.
[[nodiscard]] std::string connection_word(std::string_view id);
// Whether a word of HostKind::session is that of a connection, after whose end nobody uses the volume.
[[nodiscard]] bool is_connection_word(std::string_view word);

// Returns the word in the name of an export; nullopt: the name is not one of the pattern.
[[nodiscard]] std::optional<std::string> word_in(const NamePattern& pattern, HostKind kind,
                                                 std::string_view name);
// The name of the export for the word. Each spelling of a MAC address has the same name.
[[nodiscard]] std::string name_for(const NamePattern& pattern, HostKind kind, std::string_view word);

// Whether a name could match both patterns.
[[nodiscard]] bool may_both_match(const NamePattern& one, const NamePattern& other);

}  // namespace holdfast
