// Watches for the moment, and sets the size.

#include "client/daemon/device_growth.hh"

#include <errno.h>

#include <algorithm>
#include <utility>

#include "client/control/control_server.hh"
#include "client/link/link_health.hh"
#include "common/linux/log.hh"

namespace holdfast::client {
namespace {

// Time that a caller of resize waits; the command itself waits longer.
constexpr std::chrono::seconds growth_patience{40};

}  // namespace

void DeviceGrowth::link_established(std::uint64_t size) noexcept {
    wanted_ = size > device_.live.size ? size : 0;
    // The new link was made for this caller.
    if (wanted_ == 0) caller_.answer(growth_answer({}, tried_, device_.live.size));
}

void DeviceGrowth::answer_later(WaitingCaller& caller, Clock::time_point now) noexcept {
    // A probe without a caller of its own takes the place from no other.
    if (!caller.exists()) return;
    caller_.take(caller);
    caller_due_ = now + growth_patience;
}

bool DeviceGrowth::completes_requests(Clock::time_point now) noexcept {
    const std::uint64_t completed = kernel_.totals().requests;
    const bool is_recent = now - std::exchange(counted_, now) <= fresh_answer;
    return completed > std::exchange(completed_, completed) && is_recent;
}

// A UNIX socket has no health: completed requests, all on this link, must stand for its answers.
GrowthFacts DeviceGrowth::facts(const LinkView& link, Clock::time_point now) noexcept {
    const auto health = health_of(link.descriptor);
    const bool completes = completes_requests(now);
    GrowthFacts facts;
    facts.proved = link.proved && !link.older_links && !is_dead(link.descriptor);
    facts.older_links = link.older_links;
    facts.counted = kernel_.counts_requests();
    // Acknowledgements prove nothing of requests that are not counted.
    if (facts.counted)
        facts.answered = health ? health->last_acknowledgement < fresh_answer && health->retransmits == 0
                                : completes && link.has_link;
    // Also if the number cannot be read.
    facts.in_flight = kernel_.is_idle() ? 0 : std::max<std::uint64_t>(kernel_.in_flight(), 1);
    facts.link_age = since_boot(now) - device_.live.link_changed_at;
    facts.stalled = link.stalled;
    return facts;
}

bool DeviceGrowth::may_grow(GrowthFacts& facts, Clock::time_point now) noexcept {
    GrowthStep step = growth_step(facts);
    if (step == GrowthStep::prove &&
        proof_.look(kernel_.totals().requests, now) == DiskProof::Verdict::answers) {
        facts.answered = true;
        step = growth_step(facts);
    }
    return step == GrowthStep::grow;
}

void DeviceGrowth::advance(const LinkView& link, Clock::time_point now) {
    if (wanted_ == 0 && !caller_.exists()) return;
    GrowthFacts known = facts(link, now);
    if (wanted_ != 0 && link.has_link && may_grow(known, now)) {
        const std::uint64_t size = std::exchange(wanted_, 0);
        const auto grown = grow_to(size);
        return caller_.answer(growth_answer(grown, size, device_.live.size));
    }
    if (!caller_.exists() || now < caller_due_) return;
    caller_.answer(LineText::of(
        "error {}\n", link.has_link
                          ? reason_to_wait(known)
                          : LineText("the new link is not established yet; the device grows once it is")));
}

Result<void> DeviceGrowth::grow_to(std::uint64_t size) {
    if (size <= device_.live.size) return {};
    DeviceChange change;
    change.size = size;
    if (auto done = kernel_.reconfigure(change); !done) {
        log::warning(LineText::of("{}: could not be enlarged: {}", device_.name(), done.error().text()));
        return done;
    }
    // The kernel acknowledges a reconfiguration before it has checked all attributes.
    if (const std::uint64_t now = kernel_.size(); now != 0 && now < size) {
        log::warning(LineText::of("{}: could not be enlarged: the kernel reports {} bytes instead of {}",
                                  device_.name(), now, size));
        return std::unexpected(SysError{EINVAL, "set the size"});
    }
    log::notice(LineText::of("{}: grown from {} to {} bytes", device_.name(), device_.live.size, size));
    device_.live.size = size;
    store_.save();
    return {};
}

}  // namespace holdfast::client
