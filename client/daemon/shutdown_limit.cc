// Splits the limit in two: time to wait for the server, then time for the rest of the shutdown, in which
// every request fails at once.

#include "client/daemon/shutdown_limit.hh"

#include <algorithm>

namespace holdfast::client {

std::chrono::seconds ShutdownLimit::grace() const noexcept {
    constexpr std::chrono::seconds longest{20};
    return std::min(limit_ / 3, longest);
}

ShutdownLimit::Step ShutdownLimit::look(DiskEvidence evidence, bool going_down, Time now) noexcept {
    if (is_off() || given_up_) return Step::none;
    if (evidence == DiskEvidence::works || !going_down) {
        since_.reset();
        told_ = false;
        return Step::none;
    }
    if (!since_) since_ = now;
    if (evidence == DiskEvidence::unknown) return Step::none;
    if (!told_) {
        told_ = true;
        return Step::began;
    }
    if (now - *since_ < patience()) return Step::none;
    given_up_ = true;
    return Step::give_up;
}

}  // namespace holdfast::client
