// Stable disk identities. A server sends the identity in its answer to the session option; a client uses it
// to detect that an export leads to another disk. Pure.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "common/text/printable.hh"

namespace holdfast {

inline constexpr std::size_t longest_identity = 255;

// Printable ASCII, 1 to longest_identity bytes.
[[nodiscard]] inline bool is_identity(std::string_view text) {
    return !text.empty() && text.size() <= longest_identity && std::ranges::all_of(text, is_printable_ascii);
}

}  // namespace holdfast
