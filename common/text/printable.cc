// Keeps or escapes whole characters; an invalid UTF-8 byte is escaped alone.

#include "common/text/printable.hh"

#include <fmt/core.h>

#include "common/text/utf8.hh"

namespace holdfast {

std::string printable(std::string_view word) {
    constexpr std::size_t longest = 120;
    std::string text;
    std::size_t at = 0;
    while (at < word.size() && at < longest) {
        const std::string_view rest = word.substr(at);
        const std::size_t length = utf8_length(rest);
        const std::size_t taken = length == 0 ? 1 : length;
        if (length != 0 && !is_hidden(rest, length))
            text += rest.substr(0, taken);
        else
            for (const char c : rest.substr(0, taken))
                text += fmt::format("\\x{:02x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
        at += taken;
    }
    if (at < word.size()) text += fmt::format("... ({} bytes)", word.size());
    return text;
}

std::string printable_ascii(std::string_view word, std::size_t longest) {
    std::string text(word.substr(0, longest));
    for (char& c : text) {
        if (!is_printable_ascii(c)) c = '?';
    }
    if (word.size() > longest) text += "...";
    return text;
}

}  // namespace holdfast
