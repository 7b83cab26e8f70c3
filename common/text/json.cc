// JSON escapes UTF-16 code units, so a code point above U+FFFF takes two escapes.

#include "common/text/json.hh"

#include <fmt/core.h>

#include "common/text/utf8.hh"

namespace holdfast {
namespace {

std::string escaped(char32_t code) {
    const auto unit = [](char32_t value) { return fmt::format("\\u{:04x}", static_cast<unsigned>(value)); };
    if (code <= 0xffff) return unit(code);
    return unit(0xd800 + ((code - 0x10000) >> 10)) + unit(0xdc00 + ((code - 0x10000) & 0x3ff));
}

}  // namespace

std::string json_string(std::string_view text) {
    std::string json = "\"";
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        if (length == 0)
            json += escaped(0xfffd);
        else if (text[0] == '"' || text[0] == '\\')
            json += {'\\', text[0]};
        else if (is_hidden(text, length))
            json += escaped(code_point(text, length));
        else
            json += text.substr(0, length);
        text.remove_prefix(length == 0 ? 1 : length);
    }
    return json + "\"";
}

}  // namespace holdfast
