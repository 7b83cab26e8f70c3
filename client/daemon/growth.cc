// Decides whether the device may grow now. Answered requests prove the link; without requests in flight, a
// read must.

#include "client/daemon/growth.hh"

#include "client/daemon/request_timer.hh"
#include "common/text/plural.hh"

namespace holdfast::client {

GrowthStep growth_step(const GrowthFacts& facts) noexcept {
    if (facts.in_flight == 0) return facts.proved && facts.answered ? GrowthStep::grow : GrowthStep::prove;
    const bool flows = facts.answered && facts.stalled.count() == 0 && facts.link_age > longest_request_timer;
    return facts.proved && flows ? GrowthStep::grow : GrowthStep::wait;
}

LineText reason_to_wait(const GrowthFacts& facts) {
    if (facts.in_flight == 0)
        return "the new link has not answered yet; the device grows by itself once it has";
    return LineText::of(
        "the device has {} in flight, and a resize would block every nbd device until the server answers; "
        "the device grows by itself once an answer is certain",
        counted(facts.in_flight, "request"));
}

}  // namespace holdfast::client
