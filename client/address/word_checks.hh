// Checks of the parts of a word that names an export: hosts, addresses, ports, names. Pure.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/core.h>

namespace holdfast::client {

using Problem = std::unexpected<std::string>;

// Makes an error: the fault and the fix. The caller, which knows the word's origin, prepends the word.
template <typename... Args>
Problem problem(fmt::format_string<Args...> format, Args&&... args) {
    return Problem{fmt::format(format, std::forward<Args>(args)...)};
}

inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
// True if every character is a letter, a digit, or in `others`; also for an empty text.
bool has_only_letters_digits_or(std::string_view others, std::string_view text);
bool all_digits(std::string_view text);  // false for an empty text
bool has_control_character(std::string_view text);

// Parses a decimal number without a leading zero, 0 to `most`.
std::optional<std::uint32_t> canonical_number(std::string_view text, std::uint32_t most);
std::optional<std::uint16_t> port_number(std::string_view text);

// Splits a text at separators; returns one piece more than there are separators.
std::vector<std::string_view> split(std::string_view text, char separator);

// Accepts an address with or without a zone: fe80::1%eth0.
bool is_ipv6(std::string_view text);

// Return the fault and the fix; empty if the part is valid. host_problem() is for a host name or IPv4
// address.
std::string host_problem(std::string_view host);
std::string name_problem(std::string_view name);
// Returns the message for a word that is not a port.
std::string port_problem(std::string_view port);

}  // namespace holdfast::client
