// JSON strings, as status reports and lists print them: for programs, and on terminals.
#pragma once

#include <string>
#include <string_view>

namespace holdfast {

// The text as a JSON string with its quotes. Characters that do not show themselves (utf8.hh) are escaped,
// and a byte that is no UTF-8 becomes U+FFFD.
[[nodiscard]] std::string json_string(std::string_view text);

}  // namespace holdfast
