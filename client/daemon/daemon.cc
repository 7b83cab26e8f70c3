// Main loop and link handling. Death of a link is detected on its socket, of which the kernel holds one
// reference and the daemon another: the kernel shuts a socket down when it gives the socket up, so every
// death is visible, even if LINK_DEAD was lost. LINK_DEAD reports that the kernel has released the socket;
// before, RECONFIGURE would silently drop a new socket.

#include "client/daemon/daemon.hh"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "client/daemon/device_report.hh"
#include "client/daemon/offer_verdict.hh"
#include "client/kernel/block_size.hh"
#include "client/link/link_health.hh"
#include "client/process/capabilities.hh"
#include "common/linux/log.hh"

namespace holdfast::client {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::seconds;

// Time without an acknowledgement of retransmitted data after which the machine, or the route to it, counts
// as unreachable. With a server that fences, a false alarm costs only a reconnect.
constexpr milliseconds suspect_after{2000};
// Interval between checks of an idle link.
constexpr milliseconds idle_look{3000};
// After this many consecutive EINVALs the device is gone.
constexpr std::uint32_t most_refusals = 3;

std::uint64_t seed() noexcept {
    std::uint64_t value = 0;
    // If no randomness is available yet, use the time and the address of a variable.
    if (::getrandom(&value, sizeof value, GRND_NONBLOCK) != sizeof value)
        value = static_cast<std::uint64_t>(Clock::now().time_since_epoch().count()) ^
                reinterpret_cast<std::uintptr_t>(&value);
    return value;
}

LineText in_tenths(milliseconds duration) {
    const auto tenths = duration.count() / 100;
    return LineText::of("{}.{} s", tenths / 10, tenths % 10);
}

}  // namespace

Daemon::Daemon(Netlink netlink, SysfsDevice sysfs, DeviceRecord record, const LiveState& live)
    : kernel_(std::move(netlink), std::move(sysfs), record.index, record.identifier),
      device_{std::move(record), live},
      files_(kernel_, device_, *this),
      log_(device_),
      links_(kernel_, device_, loop_, files_),
      limits_(kernel_, device_),
      release_(kernel_, device_, files_, links_, log_, limits_),
      shutdown_(kernel_, device_, release_, proof_, machine_),
      callers_(kernel_, device_, loop_, *this),
      growth_(kernel_, device_, files_, proof_, callers_),
      probe_(kernel_, device_, loop_, log_, growth_, callers_),
      lease_(device_, loop_),
      domain_(device_, files_, limits_),
      session_(device_.record.session) {}

Result<void> Daemon::prepare() {
    if (auto opened = callers_.open(); !opened) return opened;
    if (auto opened = files_.open(); !opened) return opened;
    files_.open_exemption();
    memory_ = MemoryUse::open();
    shutdown_.open(ShutdownDetection::open());
    proof_ = DiskProof::open(device_.record.index);
    links_.prepare();
    limits_.open();
    domain_.open({{files_.directory(), run_directory, "holdfast_client_runtime_t"},
                  {files_.omit_directory(), "/run/sendsigs.omit.d", {}},
                  {kernel_.attributes_directory(), "/sys/block", {}},
                  {limits_.descriptor(), "a pipe", {}}});

    if (auto opened = loop_.open(); !opened) return opened;
    if (auto watched = loop_.watch(kernel_.events_descriptor(), EPOLLIN, tag_kernel); !watched)
        return watched;
    if (auto watched = callers_.watch(); !watched) return watched;
    lease_.open(run_directory);
    return {};
}

void Daemon::abandon() noexcept { callers_.remove(); }

void Daemon::take_charge(Fd link, const LiveState& live) noexcept {
    const Clock::time_point now = Clock::now();
    device_.live = live;
    limits_.start();
    const LinkTiming timing;
    const auto servers = static_cast<std::uint32_t>(device_.record.targets.size());
    links_.take(std::move(link));
    if (!links_.has_socket() && device_.live.link_up) {
        device_.live.link_changed_at = since_boot(now);
        // The server machine that has the link is unknown.
        device_.live.elsewhere_after = since_boot(now) + device_.record.policy.dead_after;
    }
    device_.live.link_up = links_.has_socket();
    if (links_.has_socket()) {
        supervisor_ = Supervisor(timing, servers, device_.live.target, seed(), now);
        const LinkHealth health = health_of(links_.descriptor()).value_or(LinkHealth{});
        received_ = health.received;
        silence_.restart();
        acknowledged_before_ = health.acknowledged;
        links_.watch();
    } else {
        supervisor_ = Supervisor::without_link(timing, servers, device_.live.target, seed(), now);
    }
    limits_.check_size(false);
    probe_.end(now);
    lease_.start(seed(), now);
}

void Daemon::announce() noexcept {
    callers_.publish();
    files_.enter_exemption();
    files_.save();
}

void Daemon::run() noexcept {
    while (!is_over()) {
        loop_.arm(deadline());
        files_.beat();
        for (const epoll_event& event : loop_.wait()) {
            if (is_over()) return;
            dispatch(event.data.u64);
        }
    }
}

void Daemon::dispatch(std::uint64_t tag) {
    switch (tag) {
        case tag_kernel: return on_kernel_event();
        case tag_link:
            // The batch may still hold an event of a previous link.
            if (supervisor_->has_link() && !callers_.has_successor() && is_dead(links_.descriptor()))
                lose_link(cause_of_death(links_.descriptor(), device_.record.policy.dead_after));
            return;
        case tag_attempt: return on_attempt_event();
        case tag_probe:
            return callers_.has_successor() ? void()
                                            : react(probe_.advance(view(Clock::now()), Clock::now()));
        case tag_timer: return on_timer();
        case tag_signals: return loop_.take_signals(device_.name());
        case tag_listen: return callers_.accept();
        case tag_lease: return callers_.has_successor() ? lease_.drain() : renew_lease(Clock::now());
        default: return callers_.receive(tag - tag_first_caller);
    }
}

// --- Events and actions of the supervisor

void Daemon::tell(LinkEvent event) {
    std::optional<LinkEvent> next = event;
    while (next && !leaving_) next = carry_out(supervisor_->on(*next, Clock::now()));
}

std::optional<LinkEvent> Daemon::carry_out(LinkAction action) {
    switch (action) {
        case LinkAction::none: return std::nullopt;
        case LinkAction::try_server: return try_server();
        case LinkAction::drop_attempt: attempt_.reset(); return std::nullopt;
        case LinkAction::offer: return offer_link();
        case LinkAction::look: return look_at_link();
        case LinkAction::cut_link: cut_link(); return std::nullopt;
        case LinkAction::drop_link:
            // The kernel may have taken the socket anyway, if only its answer was lost.
            if (candidate_) end_link(candidate_->socket);
            candidate_.reset();
            links_.name_none();
            return std::nullopt;
        case LinkAction::leave:
            leave_files();
            links_.let_go();
            leaving_ = true;
            return std::nullopt;
    }
    return std::nullopt;
}

void Daemon::on_kernel_event() {
    const Netlink::LinkDead dead = kernel_.take_link_dead();
    if (dead == Netlink::LinkDead::no || callers_.has_successor()) return;
    // The event may be for the link in use, or late for the previous link.
    if (supervisor_->has_link() && links_.has_socket() && is_dead(links_.descriptor()))
        lose_link(cause_of_death(links_.descriptor(), device_.record.policy.dead_after));
    if (leaving_) return;
    // The kernel no longer receives on the socket.
    if (!supervisor_->has_link()) links_.purge();
    // LINK_DEAD: the kernel has shut its socket down, so no earlier socket is in use.
    if (dead == Netlink::LinkDead::yes) links_.forget_older(supervisor_->has_link());
    tell(LinkEvent::slot_free);
}

void Daemon::lose_link(const LineText& reason) {
    if (!kernel_.has_our_device()) return tell(LinkEvent::leave);
    log_.remember(reason, kernel_.now());
    log_.write(log::Level::warning,
               LineText::of("{}: the link to {} is down: {}", device_.name(), device_.target().uri, reason),
               kernel_.now());
    tell(LinkEvent::link_lost);
}

void Daemon::cut_link() {
    const Clock::time_point now = Clock::now();
    if (links_.has_socket()) {
        links_.ignore();
        if (const auto health = health_of(links_.descriptor()))
            supervisor_->learn_round_trip(health->round_trip);
        // A machine that has merely fallen silent may still apply the writes that it holds, and no other
        // machine can fence them. The administrator's dead-after says when the machine counts as dead.
        device_.live.elsewhere_after = Monotonic{0};
        if (const auto health = health_of(links_.descriptor()); !is_ended_by_peer(links_.descriptor()))
            device_.live.elsewhere_after = since_boot(now) + device_.record.policy.dead_after -
                                           (health ? health->last_acknowledgement : milliseconds{0});
        // Wakes a sender of the kernel that is stuck in the old socket. Then the kernel releases the socket,
        // and the daemon purges it.
        links_.cut();
    }
    links_.name_none();
    stall_.link_lost(now);
    device_.live.link_changed_at = since_boot(now);
    device_.live.link_up = false;
    growth_.link_lost();
    log_.forget_errors();
    probe_.end(now);
    files_.save();
}

nbd::SessionClaim Daemon::next_claim() noexcept {
    // Tenths of a second since the boot: above every earlier generation, even if this daemon knows none,
    // since attempts are rarer than that.
    const auto tenths = static_cast<std::uint32_t>(since_boot(Clock::now()).count() / 100);
    device_.live.generation = std::max(device_.live.generation + 1, tenths);
    return {session_, 0, device_.live.generation, device_.record.host};
}

std::optional<LinkEvent> Daemon::try_server() {
    if (!kernel_.has_our_device()) return LinkEvent::leave;
    device_.live.target = supervisor_->server();
    attempt_.emplace(
        device_.target().endpoint,
        nbd::ClientHandshake(nbd::ClientHandshake::Goal::go, device_.target().export_name, next_claim()),
        device_.record.policy.dead_after);
    return advance_attempt();
}

void Daemon::on_attempt_event() {
    if (!attempt_ || callers_.has_successor()) return;
    if (const auto event = advance_attempt()) tell(*event);
}

std::optional<LinkEvent> Daemon::advance_attempt() {
    attempt_->advance();
    switch (attempt_->state()) {
        case LinkAttempt::State::running: {
            const std::uint32_t events = attempt_->events() == POLLOUT ? EPOLLOUT : EPOLLIN;
            if (auto watched = loop_.watch(attempt_->descriptor(), events, tag_attempt); !watched) {
                log_.note_failure(watched.error().text(), kernel_.now());
                return LinkEvent::failed;
            }
            if (!attempt_->connecting()) return LinkEvent::connected;
            return std::nullopt;
        }
        case LinkAttempt::State::failed:
            log_.note_failure(attempt_->error().text, kernel_.now());
            return LinkEvent::failed;
        case LinkAttempt::State::done: return judge_attempt();
    }
    return std::nullopt;
}

std::optional<LinkEvent> Daemon::judge_attempt() {
    loop_.forget(attempt_->descriptor());
    Link link = attempt_->take_link();
    attempt_.reset();
    const OfferVerdict verdict =
        judge(link.offer, link.session, device_.record, device_.live, kernel_.writes() > 0);
    if (!verdict.refusal.empty()) {
        log_.note_failure(verdict.refusal, kernel_.now());
        return LinkEvent::failed;
    }
    if (is_too_early(link.session, device_.record, device_.live, since_boot(Clock::now()))) {
        log_.note_failure(
            "another server machine, or the same after a restart; it is used once the one before has been "
            "silent for as long as dead-after says",
            kernel_.now());
        return LinkEvent::failed;
    }
    if (!kernel_.has_our_device()) return LinkEvent::leave;  // the handshake took time
    if (verdict.cache_lost && device_.record.policy.lost_cache == LostCache::fail) {
        const bool given_up = release_.give_up(
            "the server lost its cache: its machine has restarted, or is another one, while writes may have "
            "been unflushed (lost-cache=fail)");
        return given_up ? LinkEvent::leave : LinkEvent::failed;
    }
    candidate_lost_cache_ = verdict.cache_lost;
    candidate_ = std::move(link);
    return LinkEvent::agreed;
}

std::optional<LinkEvent> Daemon::offer_link() {
    // The handshake took time. The kernel compares identifiers only if the device has one.
    if (!kernel_.has_our_device()) return LinkEvent::leave;
    const bool is_new = candidate_.has_value();
    DeviceChange change;
    change.socket = is_new ? candidate_->socket.get() : links_.descriptor();
    // Record the socket's name before the kernel can send the first request on it, while this daemon still
    // runs.
    if (is_new) {
        acknowledged_before_ = health_of(*change.socket).value_or(LinkHealth{}).acknowledged;
        links_.name_new(*change.socket);
        files_.save();
    }
    if (auto done = kernel_.reconfigure(change); !done) {
        log_.note_failure(done.error().text(), kernel_.now());
        // A device that was disconnected while open keeps its name, but never accepts a link again.
        const bool refused = done.error().code == EINVAL;
        if (refused && ++refusals_ >= most_refusals) return LinkEvent::leave;
        // Any other failure is the daemon's. A link that the kernel has is offered again soon; it may be
        // healthy.
        return is_new || refused ? LinkEvent::rejected : LinkEvent::accepted;
    }
    refusals_ = 0;
    if (!is_new) return LinkEvent::accepted;
    welcome_link();
    return LinkEvent::accepted;
}

void Daemon::welcome_link() {
    const Clock::time_point now = Clock::now();
    links_.replace(std::move(candidate_->socket));
    silence_.restart();
    received_ = health_of(links_.descriptor()).value_or(LinkHealth{}).received;
    links_.watch();
    device_.live.last_outage = since_boot(now) - device_.live.link_changed_at;
    device_.live.longest_outage = std::max(device_.live.longest_outage, device_.live.last_outage);
    device_.live.link_changed_at = since_boot(now);
    device_.live.link_up = true;
    device_.live.linked_target = device_.live.target;
    ++device_.live.reconnects;
    log_.write(log::Level::notice,
               LineText::of("{}: the link to {} is up again after {}", device_.name(), device_.target().uri,
                            in_tenths(device_.live.last_outage)),
               kernel_.now());
    if (candidate_lost_cache_) {
        ++device_.live.cache_lost;
        log_.write(
            log::Level::error,
            LineText::of(
                "{}: the server lost its cache: its machine has restarted, or is another one, while writes "
                "may have been unflushed; what was not flushed may be gone",
                device_.name()),
            kernel_.now());
    }
    device_.live.session_known = candidate_->session.has_value();
    device_.live.writes_stable =
        candidate_->session && writes_stay_stable(device_.live, *candidate_->session);
    if (candidate_->session) {
        device_.live.boot_identity = candidate_->session->boot_identity;
        device_.live.export_identity = candidate_->session->export_identity;
    }
    device_.live.request_limit =
        whole_requests(candidate_->offer.block_sizes.maximum, device_.record.block_size);
    limits_.check_size(false);
    device_.live.host_fenced = candidate_->session && candidate_->session->host_fenced;
    const std::uint64_t size = whole_blocks(candidate_->offer.size, device_.record.block_size);
    candidate_.reset();
    probe_.end(now);
    growth_.link_established(size);
    files_.save();
}

std::optional<LinkEvent> Daemon::look_at_link() {
    const Clock::time_point now = Clock::now();
    if (is_dead(links_.descriptor())) return LinkEvent::link_lost;
    const auto health = health_of(links_.descriptor());
    const bool answered = !health || health->received > received_;
    const std::uint64_t in_flight = kernel_.in_flight();
    const bool idle = !answered && in_flight == 0;
    supervisor_->look_every(idle ? idle_look : busy_look);
    constexpr std::uint32_t thorough_every = 8;
    if (looks_++ % thorough_every == 0 && !kernel_.has_our_device()) return LinkEvent::leave;
    limits_.check_size(in_flight == 0);
    stall_.see(in_flight, answered, now);
    device_.live.longest_stall = std::max(device_.live.longest_stall, stall_.longest(now));
    const milliseconds unanswered = health ? silence_.see(*health, now) : milliseconds{0};
    if (!idle && unanswered.count() == 0) limits_.check_timer(stall_.age(now), now);
    if (!health) return std::nullopt;
    received_ = health->received;
    if (is_too_long(unanswered)) {
        log_.remember(LineText::of("no acknowledgement for {}", in_tenths(unanswered)), kernel_.now());
        log_.write(log::Level::warning,
                   LineText::of("{}: the link to {} is given up: no acknowledgement for {}", device_.name(),
                                device_.target().uri, in_tenths(unanswered)),
                   kernel_.now());
        return LinkEvent::link_lost;
    }
    return std::nullopt;
}

// A server that does not fence may still apply the data that the link has carried, so its death must be
// certain.
bool Daemon::is_too_long(milliseconds unanswered) const noexcept {
    const milliseconds limit =
        device_.live.session_known
            ? suspect_after
            : std::max<milliseconds>(device_.record.policy.dead_after - seconds{1}, suspect_after);
    return unanswered >= limit;
}

// --- Timer

LinkView Daemon::view(Clock::time_point now) const noexcept {
    return {.has_link = supervisor_->has_link(),
            .proved = supervisor_->state() == LinkState::attached,
            .older_links = links_.any_older(),
            .descriptor = links_.descriptor(),
            .acknowledged_before = acknowledged_before_,
            .stalled = stall_.age(now)};
}

Clock::time_point Daemon::deadline() const noexcept {
    if (callers_.has_successor()) return callers_.successor_due();
    Clock::time_point next = supervisor_->deadline();
    if (supervisor_->has_link()) next = std::min(next, probe_.deadline());
    return std::min(next, lease_.deadline());
}

void Daemon::react(ExportProbe::Outcome outcome) {
    switch (outcome) {
        case ExportProbe::Outcome::none: return;
        case ExportProbe::Outcome::grown: return tell(LinkEvent::link_lost);
        case ExportProbe::Outcome::silent: return lose_link("its machine does not answer any more");
    }
}

void Daemon::renew_lease(Clock::time_point now) {
    if (lease_.advance(now)) files_.save();
}

void Daemon::on_timer() {
    loop_.take_timer();
    const Clock::time_point now = Clock::now();
    if (callers_.has_successor()) {
        return callers_.expire_successor(now);
    }
    domain_.advance(now);
    log_.write_summary(now);
    if (shutdown_.look(view(now), now)) tell(LinkEvent::leave);
    if (leaving_) return;
    renew_lease(now);
    react(probe_.on_timer(view(now), now));
    if (leaving_) return;
    growth_.advance(view(now), now);
    if (now < supervisor_->deadline()) return;
    if (supervisor_->attempt_in_flight()) {
        attempt_->expire();
        log_.note_failure(attempt_->error().text, kernel_.now());
    }
    if (supervisor_->state() == LinkState::proving) {
        // The first request may be a large one. Requests that wait for a link do not count as in flight.
        limits_.check_size(false);
        const auto health = health_of(links_.descriptor());
        if (is_dead(links_.descriptor()))
            return lose_link(cause_of_death(links_.descriptor(), device_.record.policy.dead_after));
        // A UNIX socket has no such counters; waiting for LINK_DEAD would loop back here.
        if (health && health->received > received_) links_.forget_older(supervisor_->has_link());
        if (!health || health->received > received_) return tell(LinkEvent::used);
        if (is_too_long(silence_.see(*health, now)))
            return lose_link("its machine does not acknowledge any more");
        if (!kernel_.has_our_device()) return tell(LinkEvent::leave);
    }
    tell(LinkEvent::deadline);
}

// --- Commands

LineText Daemon::detach(bool forced, bool standing_by) {
    const auto outcome =
        release_.detach({.forced = forced, .has_link = has_link(), .standing_by = standing_by});
    if (outcome.failure.empty()) tell(LinkEvent::leave);
    // The link has ended anyway; reconnect.
    else if (outcome.link_ended && has_link())
        lose_link("it was to be detached");
    return outcome.failure;
}

bool Daemon::is_resizing() const { return probe_.caller().exists() || growth_.caller().exists(); }

bool Daemon::is_resizing_for(std::size_t slot) const {
    return probe_.caller().is(slot) || growth_.caller().is(slot);
}

void Daemon::resize(std::size_t slot) {
    const Clock::time_point now = kernel_.now();
    react(probe_.start_for(slot, view(now), now));
}

void Daemon::forget(std::size_t slot) {
    probe_.forget(slot);
    growth_.forget(slot);
}

int Daemon::stand_by() {
    lease_.stand_back();
    if (attempt_) loop_.forget(attempt_->descriptor());
    attempt_.reset();
    candidate_.reset();
    const Clock::time_point now = kernel_.now();
    probe_.end(now);
    device_.live.longest_stall = std::max(device_.live.longest_stall, stall_.longest(now));
    links_.ignore();
    return has_link() ? links_.descriptor() : -1;
}

void Daemon::resume() {
    if (!kernel_.has_our_device()) return tell(LinkEvent::leave);
    const bool up = has_link() && links_.is_alive();
    if (!up) links_.let_go();
    take_charge(up ? links_.release() : Fd{}, device_.live);
    files_.save();
}

void Daemon::leave_files() {
    if (kernel_.has_our_device()) log::notice(LineText::of("{}: leaving", device_.name()));
    files_.remove();
    callers_.remove();
    files_.end_exemption();
}

DeviceStatus Daemon::status() const {
    const Clock::time_point now = kernel_.now();
    DeviceStatus status = report_of(device_, view(now), now);
    status.longest_stall_ms =
        static_cast<std::uint64_t>(std::max(device_.live.longest_stall, stall_.longest(now)).count());
    status.in_flight = kernel_.in_flight();
    status.daemon_pid = static_cast<std::uint64_t>(::getpid());
    lease_.add_to(status, now);
    status.domain = domain_.context().view();
    const MemoryUse::Amounts memory = memory_.read();
    status.locked_kib = memory.locked;
    status.resident_kib = memory.resident;
    return status;
}

}  // namespace holdfast::client
