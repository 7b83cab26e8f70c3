// Derives the limits from the server's maximum, and from the latency of the requests.

#include "client/daemon/queue_limits.hh"

#include <signal.h>

#include <algorithm>
#include <utility>

#include "common/linux/log.hh"

namespace holdfast::client {

using std::chrono::milliseconds;

void QueueLimits::open(ProcessTitle& title) {
    ::signal(SIGCHLD, SIG_IGN);  // no child of the daemon is waited for
    const DeviceRecord& record = device_.record;
    timer_ = RequestTimer::start(record.index, record.policy.request_timeout.count() == 0,
                                 record.carries_root ? &title : nullptr);
}

void QueueLimits::check_size(bool empty) noexcept {
    const std::uint64_t now = kernel_.largest_request();
    if (now == 0) return;
    LiveState& live = device_.live;
    live.largest_request = empty ? now : std::max(live.largest_request, now);
    const bool too_large = live.request_limit != 0 && now > live.request_limit;
    if (too_large) timer_.set_largest_request(live.request_limit / 1024);
    if (too_large && !std::exchange(reported_, too_large))
        log::warning(LineText::of(
            "{}: queue/max_sectors_kb is {}, but the server accepts requests of at most {} KiB; lowering it",
            device_.name(), now / 1024, live.request_limit / 1024));
    reported_ = too_large;
}

void QueueLimits::check_timer(milliseconds stalled, Clock::time_point now) noexcept {
    const SysfsDevice::Totals before = std::exchange(totals_, kernel_.totals());
    const std::uint64_t done = totals_.requests - before.requests;
    // Requests delayed by an outage do not measure the server, and an age below two link checks is
    // meaningless.
    const LiveState& live = device_.live;
    const bool after_outage =
        live.reconnects > 0 && since_boot(now) - live.link_changed_at < longest_request_timer;
    milliseconds latency = stalled >= 2 * busy_look ? stalled : milliseconds{0};
    if (before.requests > 0 && done > 0)
        latency = std::max(latency, (totals_.time - before.time) / static_cast<std::int64_t>(done));
    const milliseconds wanted = after_outage ? shortest_request_timer : request_timer_for(latency);
    if (wanted != timer_.current()) timer_.set(wanted);
}

void QueueLimits::restore() noexcept {
    if (device_.live.sectors_before != 0) timer_.set_largest_request(device_.live.sectors_before);
}

}  // namespace holdfast::client
