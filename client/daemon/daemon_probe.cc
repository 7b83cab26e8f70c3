// Probe of the export on a separate connection: checks the health of an idle link, and the export's size.

#include <errno.h>
#include <sys/epoll.h>

#include <algorithm>
#include <utility>

#include "client/daemon/daemon.hh"
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
// Time that a caller of resize waits; the command itself waits longer.
constexpr seconds growth_patience{40};

}  // namespace

void Daemon::end_probe(Clock::time_point now) {
    if (probe_) loop_.forget(probe_->descriptor());
    probe_.reset();
    answer_resize(probe_caller_, "error the export could not be looked at\n");
    const auto interval = device_.record.policy.probe_interval;
    probe_due_ = interval.count() == 0 ? Clock::time_point::max() : now + interval;
}

void Daemon::answer_resize(std::optional<std::size_t>& caller, const LineText& answer) {
    if (caller) callers_[*caller].answer(answer);
    caller.reset();
}

void Daemon::start_probe(Clock::time_point now) {
    probe_received_ = health_of(links_.descriptor()).value_or(LinkHealth{}).received;
    probe_due_ = now + attempt_patience;
    probe_.emplace(device_.target().endpoint,
                   nbd::ClientHandshake(nbd::ClientHandshake::Goal::info, device_.target().export_name),
                   device_.record.policy.dead_after);
    on_probe_event();
}

void Daemon::on_probe_event() {
    if (!probe_ || successor_) return;
    probe_->advance();
    if (probe_->state() == LinkAttempt::State::running) {
        const std::uint32_t events = probe_->events() == POLLOUT ? EPOLLOUT : EPOLLIN;
        if (!loop_.watch(probe_->descriptor(), events, tag_probe)) end_probe(Clock::now());
        return;
    }
    judge_probe(Clock::now(), false);
}

// A failed probe does not prove the link dead: the server may be busy, or have a new configuration. But if
// the probe gets no answer at all, and the link receives no data either, the machine is unreachable.
void Daemon::judge_probe(Clock::time_point now, bool expired) {
    const bool done = probe_->state() == LinkAttempt::State::done;
    const bool silent = expired && probe_->connecting();
    std::uint64_t size = 0;
    if (done) size = whole_blocks(probe_->take_link().offer.size, device_.record.block_size);
    // Once for each size: a server that names another size on the new link would cause endless reconnects.
    const bool grown =
        done && size > device_.live.size && wanted_size_ == 0 && (size != growth_tried_ || probe_caller_);
    const bool shrunk = done && size < device_.live.size;
    LineText answer = LineText::of("ok {}\n", device_.live.size);
    if (!done) answer = LineText::of("error {}\n", probe_->error().text);
    if (shrunk) {
        log_.note_failure(
            LineText::of("the export has {} bytes now, the device needs {}", size, device_.live.size),
            kernel_.now());
        answer =
            LineText::of("error the export has {} bytes now, the device needs {}\n", size, device_.live.size);
    }
    // A connection keeps its initial size: a larger size needs a new connection. If the server does not fence
    // the old connection, no request may be in flight there.
    const bool in_flight = grown && kernel_.in_flight() > 0;
    const bool stuck = in_flight && stall_.age(now) >= longest_look;
    const bool in_the_way = stuck || (in_flight && !device_.live.session_known);
    if (in_the_way)
        answer = stuck ? "error requests wait for the server; try again when it answers them\n"
                       : "error requests are in flight, which this server would not keep out; try again\n";
    // The device is already about to grow: a new caller waits for that, too.
    const bool growing = done && wanted_size_ > device_.live.size;
    if ((grown && !in_the_way) || growing) {
        growth_caller_ = std::exchange(probe_caller_, std::nullopt);
        growth_caller_due_ = now + growth_patience;
    } else {
        answer_resize(probe_caller_, answer);
    }
    const auto health = health_of(links_.descriptor()).value_or(LinkHealth{});
    const bool nothing_came = health.received == probe_received_ &&
                              health.last_acknowledgement >=
                                  std::max<milliseconds>(attempt_patience, device_.record.policy.dead_after);
    silent_probes_ = silent && nothing_came ? silent_probes_ + 1 : 0;
    end_probe(now);
    if (grown && !in_the_way && supervisor_->has_link()) {
        growth_tried_ = size;
        log::notice(LineText::of("{}: the export has {} bytes now; a new link is made for them",
                                 device_.name(), size));
        return tell(LinkEvent::link_lost);
    }
    if (silent_probes_ < most_silent_probes || !supervisor_->has_link()) return;
    silent_probes_ = 0;
    lose_link("its machine does not answer any more");
}

GrowthFacts Daemon::growth_facts(Clock::time_point now) const noexcept {
    const auto health = health_of(links_.descriptor());
    GrowthFacts facts;
    facts.proved =
        supervisor_->state() == LinkState::attached && !links_.any_older() && !is_dead(links_.descriptor());
    facts.answered = health && health->last_acknowledgement < fresh_answer && health->retransmits == 0;
    facts.in_flight = kernel_.in_flight();
    facts.link_age = since_boot(now) - device_.live.link_changed_at;
    facts.stalled = stall_.age(now);
    return facts;
}

// Call also without a link: a caller may wait for the answer.
void Daemon::mind_growth(Clock::time_point now) {
    if (wanted_size_ == 0 && !growth_caller_) return;
    GrowthFacts facts = growth_facts(now);
    if (wanted_size_ != 0 && supervisor_->has_link()) {
        GrowthStep step = growth_step(facts);
        if (step == GrowthStep::prove &&
            proof_.look(kernel_.totals().requests, now) == DiskProof::OfferVerdict::answers) {
            facts.answered = true;
            step = growth_step(facts);
        }
        if (step == GrowthStep::grow) {
            const std::uint64_t size = std::exchange(wanted_size_, 0);
            const auto grown = grow_to(size);
            return answer_resize(growth_caller_, growth_answer(grown, size, device_.live.size));
        }
    }
    if (growth_caller_ && now >= growth_caller_due_)
        answer_resize(
            growth_caller_,
            LineText::of("error {}\n", supervisor_->has_link() ? reason_to_wait(facts)
                                                               : LineText("the new link is not there yet; "
                                                                          "the device grows with it")));
}

Result<void> Daemon::grow_to(std::uint64_t size) {
    if (size <= device_.live.size) return {};
    DeviceChange change;
    change.size = size;
    if (auto done = kernel_.reconfigure(change); !done) {
        log::warning(LineText::of("{}: could not be enlarged: {}", device_.name(), done.error().text()));
        return done;
    }
    // The kernel acknowledges a reconfiguration before it has checked all attributes.
    if (const std::uint64_t now = kernel_.size(); now != 0 && now < size) {
        log::warning(LineText::of("{}: could not be enlarged: the kernel gives it {} bytes, not {}",
                                  device_.name(), now, size));
        return std::unexpected(SysError{EINVAL, "set the size"});
    }
    log::notice(LineText::of("{}: grown from {} to {} bytes", device_.name(), device_.live.size, size));
    device_.live.size = size;
    files_.save();
    return {};
}

}  // namespace holdfast::client
