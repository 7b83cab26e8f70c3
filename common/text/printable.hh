// Words of a person or of the network in a message. Pure.
#pragma once

#include <string>
#include <string_view>

namespace holdfast {

// The word as a terminal may show it: characters that do not show themselves (utf8.hh) as \xNN, and a very
// long word cut short.
[[nodiscard]] std::string printable(std::string_view word);

}  // namespace holdfast
