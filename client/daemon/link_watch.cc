// Combines the measures of stall and silence into events.

#include "client/daemon/link_watch.hh"

#include <algorithm>

#include "client/daemon/tenths.hh"
#include "common/linux/log.hh"

namespace holdfast::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Time without an acknowledgement of retransmitted data after which the machine, or the route to it, counts
// as unreachable. With a server that fences, a false alarm costs only a reconnect.
constexpr milliseconds suspect_after{2000};
// Interval between checks of an idle link.
constexpr milliseconds idle_look{3000};
// Share of looks (1 of 8) that also check that the device is this daemon's.
constexpr std::uint32_t thorough_every = 8;

}  // namespace

void LinkWatch::before_use(int link) noexcept {
    acknowledged_before_ = health_of(link).value_or(LinkHealth{}).acknowledged;
}

void LinkWatch::start(int link) noexcept {
    silence_.restart();
    received_ = health_of(link).value_or(LinkHealth{}).received;
}

LinkWatch::Proof LinkWatch::prove(int link, Clock::time_point now) noexcept {
    // The first request may be a large one. Requests that wait for a link do not count as in flight.
    limits_.check_size(false);
    const auto health = health_of(link);
    if (is_dead(link)) return Proof::dead;
    if (!health) return Proof::unprovable;
    if (health->received > received_) return Proof::answered;
    return is_too_long(silence_.see(*health, now)) ? Proof::silent : Proof::none;
}

LinkWatch::Look LinkWatch::look(int link, Clock::time_point now) {
    if (is_dead(link)) return {LinkEvent::link_lost, {}};
    const auto health = health_of(link);
    const bool answered = !health || health->received > received_;
    const bool none_in_flight = kernel_.is_idle();
    const bool idle = !answered && none_in_flight;
    Look result{{}, idle ? idle_look : busy_look};
    if (looks_++ % thorough_every == 0 && !kernel_.has_our_device()) {
        result.event = LinkEvent::leave;
        return result;
    }
    limits_.check_size(none_in_flight);
    // Counts only requests that the kernel counts: without the counts, an idle disk would be a stalled one.
    stall_.see(kernel_.in_flight(), answered, now);
    record_stall(now);
    const milliseconds unanswered = health ? silence_.see(*health, now) : milliseconds{0};
    if (!idle && unanswered.count() == 0) limits_.check_timer(stall_.age(now), now);
    if (!health) return result;
    received_ = health->received;
    if (!is_too_long(unanswered)) return result;
    log_.remember(LineText::of("no acknowledgement for {}", in_tenths(unanswered)), now);
    log_.write(log::Level::warning,
               LineText::of("{}: the link to {} is dropped: no acknowledgement for {}", device_.name(),
                            device_.target().uri, in_tenths(unanswered)),
               now);
    result.event = LinkEvent::link_lost;
    return result;
}

milliseconds LinkWatch::longest_stall(Clock::time_point now) const noexcept {
    return std::max(device_.live.longest_stall, stall_.longest(now));
}

// A server that does not fence may still apply the data that the link has carried, so its death must be
// certain.
bool LinkWatch::is_too_long(milliseconds unanswered) const noexcept {
    const milliseconds limit =
        device_.live.session_known
            ? suspect_after
            : std::max<milliseconds>(device_.record.policy.dead_after - seconds{1}, suspect_after);
    return unanswered >= limit;
}

}  // namespace holdfast::client
