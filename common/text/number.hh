// Reads numbers from text.
#pragma once

#include <charconv>
#include <concepts>
#include <optional>
#include <string_view>

namespace holdfast {

// Reads a word that is entirely a decimal number.
template <std::integral T>
[[nodiscard]] std::optional<T> number_of(std::string_view word) {
    T value = 0;
    const auto [stop, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc() || stop != word.data() + word.size()) return std::nullopt;
    return value;
}

}  // namespace holdfast
