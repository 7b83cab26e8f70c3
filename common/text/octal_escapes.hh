// Octal escapes in the kernel's tables: "\040" for a blank, in /proc/self/mountinfo, mounts and swaps.
#pragma once

#include <charconv>
#include <string>
#include <string_view>

namespace holdfast {

// Returns the text with each backslash and three octal digits replaced by the character of that number.
[[nodiscard]] inline std::string without_octal_escapes(std::string_view text) {
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
        unsigned value = 0;
        const char* const digits = text.data() + i + 1;
        const bool escaped = text[i] == '\\' && i + 3 < text.size() &&
                             std::from_chars(digits, digits + 3, value, 8).ptr == digits + 3;
        plain += escaped ? static_cast<char>(value) : text[i];
        if (escaped) i += 3;
    }
    return plain;
}

}  // namespace holdfast
