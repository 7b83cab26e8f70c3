// Ends of two patterns, such as root-* and root-a-*. Pure.
#pragma once

#include <algorithm>
#include <string_view>
#include <utility>

namespace holdfast {

// Whether the ends could belong to the same name: equal, or one longer by characters only that may stand in
// the place of the asterisk.
template <class MayStand>
[[nodiscard]] bool ends_may_meet(std::string_view longer, std::string_view shorter, bool at_the_front,
                                 const MayStand& may_stand) {
    if (longer.size() < shorter.size()) std::swap(longer, shorter);
    if (at_the_front ? !longer.starts_with(shorter) : !longer.ends_with(shorter)) return false;
    if (at_the_front)
        longer.remove_prefix(shorter.size());
    else
        longer.remove_suffix(shorter.size());
    return std::ranges::all_of(longer, may_stand);
}

}  // namespace holdfast
