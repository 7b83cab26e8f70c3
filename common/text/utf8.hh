// Decides which characters of text from the network may be shown. Names come from servers; a terminal
// interprets control characters, and hidden characters mislead a reader. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace holdfast {

// Well-formed sequences of several bytes (Unicode, table 3-7): the first byte, the length, and the bounds of
// the second byte, which exclude overlong sequences, surrogates and values above the last code point. All
// later bytes are 80 to BF.
struct Utf8Lead {
    unsigned char first, last;
    std::uint8_t length;
    unsigned char second_from, second_to;
};
inline constexpr Utf8Lead utf8_leads[] = {
    {0xc2, 0xdf, 2, 0x80, 0xbf}, {0xe0, 0xe0, 3, 0xa0, 0xbf}, {0xe1, 0xec, 3, 0x80, 0xbf},
    {0xed, 0xed, 3, 0x80, 0x9f}, {0xee, 0xef, 3, 0x80, 0xbf}, {0xf0, 0xf0, 4, 0x90, 0xbf},
    {0xf1, 0xf3, 4, 0x80, 0xbf}, {0xf4, 0xf4, 4, 0x80, 0x8f},
};

// True if the text begins with a sequence of this kind.
[[nodiscard]] constexpr bool begins_with(std::string_view text, const Utf8Lead& lead) noexcept {
    const auto is_between = [&](std::size_t at, unsigned char from, unsigned char to) {
        return static_cast<unsigned char>(text[at]) >= from && static_cast<unsigned char>(text[at]) <= to;
    };
    if (text.size() < lead.length || !is_between(0, lead.first, lead.last) ||
        !is_between(1, lead.second_from, lead.second_to))
        return false;
    for (std::size_t at = 2; at < lead.length; ++at)
        if (!is_between(at, 0x80, 0xbf)) return false;
    return true;
}

// Returns the length of the UTF-8 sequence at the start of `text`, or 0 if the sequence is invalid: overlong,
// a surrogate, or above the last code point (RFC 3629). `text` is not empty.
[[nodiscard]] constexpr std::size_t utf8_length(std::string_view text) noexcept {
    if (static_cast<unsigned char>(text[0]) < 0x80) return 1;
    for (const Utf8Lead& lead : utf8_leads)
        if (begins_with(text, lead)) return lead.length;
    return 0;
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
