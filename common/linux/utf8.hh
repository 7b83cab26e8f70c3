// What of a text from the network is a character that may be shown: names come from servers, and a terminal
// obeys more than letters. Pure.
#pragma once

#include <cstddef>
#include <string_view>

namespace holdfast {

// The length of the UTF-8 sequence that starts `text`, 0 where none does: also for one that is longer than it
// need be, a surrogate, and what is beyond the last code point (RFC 3629). `text` is not empty.
[[nodiscard]] constexpr std::size_t utf8_length(std::string_view text) noexcept {
    const auto byte = [&](std::size_t at) {
        return at < text.size() ? static_cast<unsigned char>(text[at]) : 0U;
    };
    const auto follows = [&](std::size_t at) { return (byte(at) & 0xc0) == 0x80; };
    const unsigned first = byte(0);
    const unsigned second = byte(1);
    if (first < 0x80) return 1;
    if (first < 0xc2 || first > 0xf4 || !follows(1)) return 0;
    if (first < 0xe0) return 2;
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) || !follows(2)) return 0;
    if (first < 0xf0) return 3;
    if ((first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f) || !follows(3)) return 0;
    return 4;
}

// The sequence of `length` bytes that starts `text` is an order to a terminal: C0, DEL, or C1, which some
// take in UTF-8, too (U+009B begins an escape sequence).
[[nodiscard]] constexpr bool is_control(std::string_view text, std::size_t length) noexcept {
    const auto first = static_cast<unsigned char>(text[0]);
    if (length == 1) return first < 0x20 || first == 0x7f;
    return length == 2 && first == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0;
}

// A text that may be shown to a person: valid UTF-8, and no orders to a terminal in it.
[[nodiscard]] constexpr bool is_printable(std::string_view text) noexcept {
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        if (length == 0 || is_control(text, length)) return false;
        text.remove_prefix(length);
    }
    return true;
}

}  // namespace holdfast
