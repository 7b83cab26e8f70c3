// Each kind of damage has the time at which it may be mended.

#include "client/network/network_watch.hh"

#include <algorithm>

namespace holdfast::client {

void NetworkWatch::link_is(bool up, Time now) noexcept {
    if (link_up_ && !up) link_lost_ = now;
    link_up_ = up;
}

// Returns the time to restore the network; Time::max(): nothing to restore, or no card to restore it on.
NetworkWatch::Time NetworkWatch::due(const NetworkLook& look, Time now) noexcept {
    const bool lacks_address = !look.address && look.bare;
    const bool damaged = !look.route || !look.up || lacks_address || (look.address && !look.by_card);
    // Counts from the return of the card: its name may change meanwhile.
    damaged_ = damaged && look.card ? std::min(damaged_, now) : Time::max();
    if (damaged_ == Time::max()) return damaged_;
    if (!look.route) return damaged_ + patience;
    return link_up_ ? Time::max() : std::max(damaged_, link_lost_) + patience_with_route;
}

NetworkStep NetworkWatch::judge(const NetworkLook& look, Time now) noexcept {
    deadline_ = due(look, now);
    if (deadline_ == Time::max()) {
        const bool whole = look.address && look.up && look.by_card;
        return whole && link_up_ ? NetworkStep::remember : NetworkStep::none;
    }
    if (restored_ != Time::min()) deadline_ = std::max(deadline_, restored_ + pause);
    if (now < deadline_) return NetworkStep::none;
    restored_ = now;
    deadline_ = now + pause;
    return NetworkStep::restore;
}

}  // namespace holdfast::client
