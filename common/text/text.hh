// Splits text into lines and words and trims white space.
#pragma once

#include <algorithm>
#include <string_view>

namespace holdfast {

inline constexpr std::string_view white_space = " \t\r\f\v";

[[nodiscard]] inline std::string_view trimmed(std::string_view text) {
    const std::size_t first = text.find_first_not_of(white_space);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(white_space) - first + 1);
}

// Removes the text up to and including the first `separator` and returns the text before the separator; takes
// all of `rest` if there is no separator.
inline std::string_view take_until(std::string_view& rest, char separator) {
    const std::size_t end = std::min(rest.find(separator), rest.size());
    const std::string_view taken = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return taken;
}

inline std::string_view take_line(std::string_view& rest) { return take_until(rest, '\n'); }

// Removes and returns the next word; empty at the end.
inline std::string_view take_word(std::string_view& rest) {
    rest.remove_prefix(std::min(rest.find_first_not_of(white_space), rest.size()));
    const std::size_t end = std::min(rest.find_first_of(white_space), rest.size());
    const std::string_view word = rest.substr(0, end);
    rest.remove_prefix(end);
    return word;
}

}  // namespace holdfast
