// Decides which characters of text from the network may be shown. Names come from servers; a terminal
// interprets control characters, and hidden characters mislead a reader. Pure.
#pragma once

#include <cstddef>
#include <string_view>

namespace holdfast {

// Returns the length of the UTF-8 sequence at the start of `text`, or 0 if the sequence is invalid: overlong,
// a surrogate, or above the last code point (RFC 3629). `text` is not empty.
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

// Returns the code point of the valid sequence of `length` bytes at the start of `text`.
[[nodiscard]] constexpr char32_t code_point(std::string_view text, std::size_t length) noexcept {
    const auto first = static_cast<unsigned char>(text[0]);
    if (length == 1) return first;
    char32_t code = first & (0x7fU >> length);
    for (std::size_t at = 1; at < length; ++at)
        code = code << 6 | (static_cast<unsigned char>(text[at]) & 0x3fU);
    return code;
}

// Ranges of code points that are invisible or change how the surrounding text is shown: terminal controls
// (C0, DEL, and C1, which some terminals also accept in UTF-8), line and paragraph separators, direction
// marks, and Unicode's Default_Ignorable_Code_Point.
struct CodePoints {
    char32_t first, last;
};
inline constexpr CodePoints hidden_code_points[] = {
    {0x0000, 0x001f}, {0x007f, 0x009f},   {0x00ad, 0x00ad},   {0x034f, 0x034f},   {0x061c, 0x061c},
    {0x115f, 0x1160}, {0x17b4, 0x17b5},   {0x180b, 0x180f},   {0x200b, 0x200f},   {0x2028, 0x202e},
    {0x2060, 0x206f}, {0x3164, 0x3164},   {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},   {0xffa0, 0xffa0},
    {0xfff0, 0xfffb}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
};

// True if the valid sequence of `length` bytes at the start of `text` is a hidden code point. Such characters
// make different names look the same, or a line read differently from its letters.
[[nodiscard]] constexpr bool is_hidden(std::string_view text, std::size_t length) noexcept {
    const char32_t code = code_point(text, length);
    for (const auto& [first, last] : hidden_code_points)
        if (code >= first && code <= last) return true;
    return false;
}

// True if the text is valid UTF-8 without hidden characters.
[[nodiscard]] constexpr bool is_printable(std::string_view text) noexcept {
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        if (length == 0 || is_hidden(text, length)) return false;
        text.remove_prefix(length);
    }
    return true;
}

}  // namespace holdfast
