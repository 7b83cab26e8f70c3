// A failed probe does not prove the link dead: the server may be busy, or have a new configuration. But if
// the probe gets no answer at all, and the link receives no data either, the machine is unreachable.

#include "client/daemon/export_probe.hh"

#include <algorithm>

#include "client/kernel/block_size.hh"
#include "common/linux/log.hh"

namespace holdfast::client {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Consecutive probes without any answer, and without data on the link, after which an idle link is lost.
constexpr std::uint32_t most_silent_probes = 2;
// Ages of requests below two link checks are meaningless.
constexpr seconds longest_look{2};

}  // namespace

bool SilentProbes::see(bool silent, std::uint64_t received, const LinkHealth& health,
                       seconds dead_after) noexcept {
    const bool nothing_came =
        health.received == received &&
        health.last_acknowledgement >= std::max<milliseconds>(attempt_patience, dead_after);
    count_ = silent && nothing_came ? count_ + 1 : 0;
    if (count_ < most_silent_probes) return false;
    count_ = 0;
    return true;
}

void ExportProbe::end(Clock::time_point now) noexcept {
    if (attempt_) loop_.forget(attempt_->descriptor());
    attempt_.reset();
    caller_.answer("error the export could not be probed\n");
    const auto interval = device_.record.policy.probe_interval;
    due_ = interval.count() == 0 ? Clock::time_point::max() : now + interval;
}

ExportProbe::Outcome ExportProbe::start(const LinkView& link, Clock::time_point now) {
    received_ = health_of(link.descriptor).value_or(LinkHealth{}).received;
    due_ = now + attempt_patience;
    const Target& target = device_.target();
    attempt_.emplace(target.endpoint,
                     nbd::ClientHandshake(nbd::ClientHandshake::Goal::info, target.export_name),
                     device_.record.policy.dead_after);
    return advance(link, now);
}

ExportProbe::Outcome ExportProbe::start_for(std::size_t slot, const LinkView& link, Clock::time_point now) {
    if (attempt_) end(now);
    caller_.set(slot);
    return start(link, now);
}

ExportProbe::Outcome ExportProbe::advance(const LinkView& link, Clock::time_point now) {
    if (!attempt_) return Outcome::none;
    attempt_->advance();
    if (attempt_->state() != LinkAttempt::State::running) return judge(link, false, now);
    const std::uint32_t events = attempt_->events() == POLLOUT ? EPOLLOUT : EPOLLIN;
    if (!loop_.watch(attempt_->descriptor(), events, tag_probe)) end(now);
    return Outcome::none;
}

ExportProbe::Outcome ExportProbe::on_timer(const LinkView& link, Clock::time_point now) {
    if (!link.has_link || now < due_) return Outcome::none;
    if (!attempt_) return start(link, now);
    attempt_->expire();
    return judge(link, true, now);
}

ExportProbe::Finding ExportProbe::find(const LinkView& link, bool expired) {
    Finding finding;
    finding.done = attempt_->state() == LinkAttempt::State::done;
    finding.silent = expired && attempt_->connecting();
    if (!finding.done) return finding;
    finding.size = whole_blocks(attempt_->take_link().offer.size, device_.record.block_size);
    finding.grown = growth_.needs_link(finding.size, caller_.exists());
    // If the server does not fence the old connection, no request may be in flight there.
    const bool in_flight = finding.grown && !kernel_.is_idle();
    finding.in_the_way = in_flight && (link.stalled >= longest_look || !device_.live.session_known);
    return finding;
}

LineText ExportProbe::answer_to(const Finding& finding, const LinkView& link) const {
    if (!finding.done) return LineText::of("error {}\n", attempt_->error().text);
    if (finding.in_the_way && link.stalled >= longest_look)
        return "error requests are waiting for the server; try again once they are answered\n";
    if (finding.in_the_way && !kernel_.counts_requests())
        return LineText::of(
            "error requests may be in flight (the kernel counts none: queue/iostats is 0), which this server "
            "cannot fence; write 1 to /sys/block/{}/queue/iostats, then try again once the disk is quiet\n",
            device_.name());
    if (finding.in_the_way)
        return "error requests are in flight, which this server cannot fence; try again\n";
    if (finding.size < device_.live.size)
        return LineText::of("error the export now has {} bytes, the device needs {}\n", finding.size,
                            device_.live.size);
    return LineText::of("ok {}\n", device_.live.size);
}

ExportProbe::Outcome ExportProbe::judge(const LinkView& link, bool expired, Clock::time_point now) {
    const Finding finding = find(link, expired);
    if (finding.done && finding.size < device_.live.size)
        log_.note_failure(
            LineText::of("the export now has {} bytes, the device needs {}", finding.size, device_.live.size),
            now);
    const bool new_link = finding.grown && !finding.in_the_way;
    // If the device is already about to grow, a new caller waits for that, too.
    if (new_link || (finding.done && growth_.is_due()))
        growth_.answer_later(caller_, now);
    else
        caller_.answer(answer_to(finding, link));
    const bool silent =
        silent_probes_.see(finding.silent, received_, health_of(link.descriptor).value_or(LinkHealth{}),
                           device_.record.policy.dead_after);
    end(now);
    if (!link.has_link) return Outcome::none;
    if (new_link) {
        growth_.begin(finding.size);
        log::notice(LineText::of("{}: the export now has {} bytes; reconnecting to use them", device_.name(),
                                 finding.size));
        return Outcome::grown;
    }
    return silent ? Outcome::silent : Outcome::none;
}

}  // namespace holdfast::client
