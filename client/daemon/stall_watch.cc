// Derives stalls from link checks a second apart, so results are accurate to a second.

#include "client/daemon/stall_watch.hh"

#include <algorithm>

namespace holdfast::client {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

void StallWatch::see(std::uint64_t in_flight, bool answered, Time now) noexcept {
    const bool waits = in_flight > 0 && !answered;
    if (!waits) end(now);
    if (waits && !stalled_) {
        stalled_ = true;
        // The request was sent before this check, at the earliest just after the last check.
        since_ = last_look_ == Time{} ? now : last_look_;
    }
    last_look_ = now;
}

void StallWatch::link_lost(Time now) noexcept {
    if (stalled_) return;
    stalled_ = true;
    since_ = now;
}

void StallWatch::end(Time now) noexcept {
    if (stalled_) longest_ = std::max(longest_, age(now));
    stalled_ = false;
}

milliseconds StallWatch::age(Time now) const noexcept {
    return stalled_ ? duration_cast<milliseconds>(now - since_) : milliseconds{0};
}

milliseconds StallWatch::longest(Time now) const noexcept { return std::max(longest_, age(now)); }

}  // namespace holdfast::client
