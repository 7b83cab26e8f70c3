// Makes words from a person or from the network safe for messages. Pure.
#pragma once

#include <string>
#include <string_view>

namespace holdfast {

// Returns the word in a form safe for terminals: hidden characters (utf8.hh) as \xNN; a very long word is
// truncated.
[[nodiscard]] std::string printable(std::string_view word);

[[nodiscard]] constexpr bool is_printable_ascii(char c) noexcept { return c >= 0x20 && c <= 0x7e; }

// Returns at most `longest` characters of the word, and "..." for the rest; anything but printable ASCII
// becomes "?".
[[nodiscard]] std::string printable_ascii(std::string_view word, std::size_t longest);

}  // namespace holdfast
