// A word is what a volume's name is made of; the administrator's tools show it, so that a MAC address is
// written without separators, which the encoding of volume names would spell out.

#include "common/golden/host_word.hh"

#include <fmt/core.h>

#include <algorithm>
#include <span>

#include "common/golden/pattern_ends.hh"
#include "common/golden/volume_name.hh"
#include "common/text/characters.hh"
#include "common/text/sha256.hh"

namespace holdfast {
namespace {

constexpr std::size_t mac_digits = 12;
constexpr std::size_t mac_bytes = mac_digits / 2;

std::optional<std::string> name_word(std::string_view text) {
    if (text.empty() || !is_small_letter_or_digit(text.front()) || !is_small_letter_or_digit(text.back()))
        return std::nullopt;
    const auto is_sound = [](char c) { return is_small_letter_or_digit(c) || c == '-' || c == '.'; };
    if (!std::ranges::all_of(text, is_sound) || text.find("..") != text.npos) return std::nullopt;
    if (encoded_word(text).size() > longest_encoded_word) return std::nullopt;
    return std::string(text);
}

// Returns the lower-case digit, or 0.
char hex_digit(char c) {
    if (is_digit(c) || (c >= 'a' && c <= 'f')) return c;
    return c >= 'A' && c <= 'F' ? static_cast<char>(c + ('a' - 'A')) : '\0';
}

std::string without_separators(std::string_view text) {
    constexpr std::size_t with_separators = mac_digits + mac_bytes - 1;
    if (text.size() != with_separators) return std::string(text);
    std::string digits;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool between = i % 3 == 2;
        if (between && (text[i] != text[2] || (text[i] != '-' && text[i] != ':'))) return {};
        if (!between) digits += text[i];
    }
    return digits;
}

// Refuses addresses that no card has: zero, and those of groups.
std::optional<std::string> mac_word(std::string_view text) {
    constexpr std::string_view odd_digits = "13579bdf";
    std::string digits = without_separators(text);
    if (digits.size() != mac_digits) return std::nullopt;
    std::ranges::transform(digits, digits.begin(), hex_digit);
    if (digits.find('\0') != digits.npos || odd_digits.find(digits[1]) != odd_digits.npos)
        return std::nullopt;
    return digits.find_first_not_of('0') == digits.npos ? std::nullopt : std::optional(digits);
}

constexpr std::string_view connection_mark = "c";
constexpr std::size_t session_digits = 32;

std::optional<std::string> sound_session(std::string_view text) {
    std::string_view digits = text;
    if (digits.starts_with(connection_mark) && digits.size() > session_digits)
        digits.remove_prefix(connection_mark.size());
    const auto is_hex = [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); };
    if (digits.size() != session_digits || !std::ranges::all_of(digits, is_hex)) return std::nullopt;
    return std::string(text);
}

bool may_be_of_host(char c) {
    return is_small_letter_or_digit(c) || c == '-' || c == '.' || c == ':' || (c >= 'A' && c <= 'F');
}

}  // namespace

std::expected<NamePattern, std::string> parse_name_pattern(std::string_view name) {
    const std::size_t at = name.find('*');
    if (at == name.npos || name.find('*', at + 1) != name.npos)
        return std::unexpected(
            "with %n or %m, the section's name has one *, which stands for the host, such as [root-*]");
    if (name.size() == 1)
        return std::unexpected(
            "the section's name must have characters of its own, such as [root-*]: any name would match [*]");
    return NamePattern{std::string(name.substr(0, at)), std::string(name.substr(at + 1))};
}

std::optional<std::string> host_word(HostKind kind, std::string_view text) {
    switch (kind) {
        case HostKind::address: break;
        case HostKind::name: return name_word(text);
        case HostKind::mac: return mac_word(text);
        case HostKind::session: return sound_session(text);
    }
    return std::nullopt;
}

// With the ID itself, a reader of the volume's name could claim the session.
std::string session_word(std::string_view id) {
    const auto hash = sha256(id);
    std::string word;
    for (const std::uint8_t byte : std::span(hash).first(session_digits / 2))
        word += fmt::format("{:02x}", static_cast<unsigned>(byte));
    return word;
}

std::string connection_word(std::string_view id) { return std::string(connection_mark) + session_word(id); }

bool is_connection_word(std::string_view word) {
    return word.size() == connection_mark.size() + session_digits && word.starts_with(connection_mark);
}

std::optional<std::string> word_in(const NamePattern& pattern, HostKind kind, std::string_view name) {
    if (name.size() <= pattern.before.size() + pattern.after.size()) return std::nullopt;
    if (!name.starts_with(pattern.before) || !name.ends_with(pattern.after)) return std::nullopt;
    name.remove_prefix(pattern.before.size());
    name.remove_suffix(pattern.after.size());
    return host_word(kind, name);
}

std::string name_for(const NamePattern& pattern, HostKind kind, std::string_view word) {
    std::string name = pattern.before;
    for (std::size_t i = 0; i < word.size(); ++i) {
        if (kind == HostKind::mac && i > 0 && i % 2 == 0) name += '-';
        name += word[i];
    }
    return name + pattern.after;
}

bool may_both_match(const NamePattern& one, const NamePattern& other) {
    return ends_may_meet(one.before, other.before, true, may_be_of_host) &&
           ends_may_meet(one.after, other.after, false, may_be_of_host);
}

}  // namespace holdfast
