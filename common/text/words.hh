// Splits a line into words at blanks, as in interfaces(5), systemd.network(5) and nbdtab(5). Pure.
#pragma once

#include <string_view>
#include <vector>

namespace holdfast {

[[nodiscard]] inline bool is_blank(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }

// The returned views point into `line`.
[[nodiscard]] inline std::vector<std::string_view> words_of(std::string_view line) {
    std::vector<std::string_view> words;
    for (std::size_t at = 0; at < line.size();) {
        const std::size_t begin = at;
        while (at < line.size() && !is_blank(line[at])) ++at;
        if (at > begin) words.push_back(line.substr(begin, at - begin));
        if (at < line.size()) ++at;
    }
    return words;
}

}  // namespace holdfast
