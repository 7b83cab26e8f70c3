// Bytes as hexadecimal digits, and back. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace holdfast {

// Two lower case digits a byte.
[[nodiscard]] inline std::string hex_of(const void* data, std::size_t size) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (const std::uint8_t byte : std::span(static_cast<const std::uint8_t*>(data), size)) {
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

// False unless `digits` are lower case, and two for each byte of `out`.
[[nodiscard]] inline bool read_hex(std::string_view digits, std::span<std::uint8_t> out) noexcept {
    if (digits.size() != out.size() * 2) return false;
    const auto value = [](char c) {
        if (c >= '0' && c <= '9') return c - '0';
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    };
    for (std::size_t i = 0; i < out.size(); ++i) {
        const int high = value(digits[2 * i]);
        const int low = value(digits[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        out[i] = static_cast<std::uint8_t>(high * 16 + low);
    }
    return true;
}

}  // namespace holdfast
