// Decides whether the device may grow now. Answered requests prove the link; without requests in flight, a
// read must.

#include "client/daemon/growth.hh"

#include "client/daemon/request_timer.hh"
#include "common/text/plural.hh"

namespace holdfast::client {

GrowthStep growth_step(const GrowthFacts& facts) noexcept {
    const bool old_requests_are_resent = facts.link_age > longest_request_timer;
    if (!facts.counted && !old_requests_are_resent) return GrowthStep::wait;
    if (!facts.counted || facts.in_flight == 0)
        return facts.proved && facts.answered ? GrowthStep::grow : GrowthStep::prove;
    const bool flows = facts.answered && facts.stalled.count() == 0 && old_requests_are_resent;
    return facts.proved && flows ? GrowthStep::grow : GrowthStep::wait;
}

LineText reason_to_wait(const GrowthFacts& facts) {
    if (facts.older_links)
        return "the kernel may still use the connection of a previous daemon, which keeps its size; the "
               "device "
               "grows once that connection has ended: restart the server";
    if (!facts.counted)
        return LineText::of(
            "requests may be in flight (the kernel counts none: queue/iostats is 0), and a resize would "
            "block "
            "every nbd device until the server answers; the device grows by itself once a read is answered, "
            "{} "
            "s after the new link began at the earliest",
            std::chrono::duration_cast<std::chrono::seconds>(longest_request_timer).count());
    if (facts.in_flight == 0)
        return "the new link has not answered yet; the device grows by itself once it has";
    return LineText::of(
        "the device has {} in flight, and a resize would block every nbd device until the server answers; "
        "the device grows by itself once an answer is certain",
        counted(facts.in_flight, "request"));
}

}  // namespace holdfast::client
