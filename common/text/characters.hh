// Classes of ASCII characters, whatever the locale. Pure.
#pragma once

namespace holdfast {

[[nodiscard]] constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
[[nodiscard]] constexpr bool is_small_letter(char c) noexcept { return c >= 'a' && c <= 'z'; }
[[nodiscard]] constexpr bool is_small_letter_or_digit(char c) noexcept {
    return is_small_letter(c) || is_digit(c);
}
[[nodiscard]] constexpr bool is_letter_or_digit(char c) noexcept {
    return is_small_letter_or_digit(c) || (c >= 'A' && c <= 'Z');
}

}  // namespace holdfast
