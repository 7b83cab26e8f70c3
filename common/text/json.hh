// Writes JSON strings for status reports and lists, read by programs and shown on terminals.
#pragma once

#include <string>
#include <string_view>

namespace holdfast {

// Returns the text as a quoted JSON string. Hidden characters (utf8.hh) are escaped; an invalid UTF-8 byte
// becomes U+FFFD.
[[nodiscard]] std::string json_string(std::string_view text);

}  // namespace holdfast
