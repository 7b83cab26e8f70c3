// Words in lower case, for hints.
#pragma once

#include <string>

namespace holdfast {

// Returns the word with ASCII capitals in lower case.
[[nodiscard]] inline std::string in_lower_case(std::string word) {
    for (char& c : word)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return word;
}

}  // namespace holdfast
