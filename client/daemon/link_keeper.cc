// LINK_DEAD reports that the kernel has released a socket; before, RECONFIGURE would silently drop a new
// socket. The record is saved before the kernel is given a link: the kernel may then send the first request
// at once, and the next daemon must know the socket, even if this daemon dies now.

#include "client/daemon/link_keeper.hh"

#include <errno.h>

#include <algorithm>
#include <utility>

#include "client/daemon/offer_verdict.hh"
#include "client/daemon/tenths.hh"
#include "client/kernel/block_size.hh"
#include "client/link/link_health.hh"
#include "common/linux/log.hh"

namespace holdfast::client {
namespace {

using std::chrono::milliseconds;

// After this many consecutive EINVALs the device is gone.
constexpr std::uint32_t most_refusals = 3;

}  // namespace

void LinkKeeper::take(Fd link, std::uint64_t seed) {
    const Clock::time_point now = kernel_.now();
    LiveState& live = device_.live;
    links_.take(std::move(link));
    const bool has_link = links_.has_socket();
    if (!has_link && live.link_up) {
        live.link_changed_at = since_boot(now);
        // The server machine that has the link is unknown.
        live.elsewhere_after = since_boot(now) + device_.record.policy.dead_after;
    }
    live.link_up = has_link;
    const auto servers = static_cast<std::uint32_t>(device_.record.targets.size());
    if (!has_link) {
        supervisor_ = Supervisor::without_link(LinkTiming{}, servers, live.target, seed, now);
        return;
    }
    supervisor_ = Supervisor(LinkTiming{}, servers, live.target, seed, now);
    watch_.before_use(links_.descriptor());
    watch_.start(links_.descriptor());
    links_.watch();
}

int LinkKeeper::stand_by() noexcept {
    new_.abandon();
    watch_.record_stall(kernel_.now());
    links_.ignore();
    return has_link() ? links_.descriptor() : -1;
}

void LinkKeeper::resume(std::uint64_t seed) {
    const bool up = has_link() && links_.is_alive();
    if (!up) links_.let_go();
    take(up ? links_.release() : Fd{}, seed);
}

LinkView LinkKeeper::view(Clock::time_point now) const noexcept {
    return {.has_link = has_link(),
            .proved = supervisor_->state() == LinkState::attached,
            .older_links = links_.any_older(),
            .descriptor = links_.descriptor(),
            .acknowledged_before = watch_.acknowledged_before(),
            .stalled = watch_.stalled(now),
            .longest_stall = watch_.longest_stall(now)};
}

// --- Events

void LinkKeeper::on_link_event() {
    // The event may be late: of a previous link.
    if (has_link() && is_dead(links_.descriptor()))
        lose(cause_of_death(links_.descriptor(), device_.record.policy.dead_after));
}

void LinkKeeper::on_attempt_event() {
    if (const auto event = new_.advance()) report(*event);
}

void LinkKeeper::on_driver_event(Netlink::LinkDead dead) {
    if (dead == Netlink::LinkDead::no) return;
    // The event may be for the link in use, or late for the previous link.
    if (links_.has_socket()) on_link_event();
    if (is_leaving()) return;
    // The kernel no longer receives on the socket.
    if (!has_link()) links_.purge();
    // LINK_DEAD: the kernel has shut its socket down, so no earlier socket is in use.
    if (dead == Netlink::LinkDead::yes) links_.forget_older(has_link());
    report(LinkEvent::slot_free);
}

void LinkKeeper::on_timer(Clock::time_point now) {
    if (now < supervisor_->deadline()) return;
    if (supervisor_->attempt_in_flight()) new_.expire();
    if (supervisor_->state() == LinkState::proving) return prove(now);
    report(LinkEvent::deadline);
}

void LinkKeeper::prove(Clock::time_point now) {
    switch (watch_.prove(links_.descriptor(), now)) {
        case LinkWatch::Proof::none: break;
        case LinkWatch::Proof::answered: links_.forget_older(true); return report(LinkEvent::used);
        // Waiting for LINK_DEAD would loop back here.
        case LinkWatch::Proof::unprovable: links_.forget_vanished(true); return report(LinkEvent::used);
        case LinkWatch::Proof::dead:
            return lose(cause_of_death(links_.descriptor(), device_.record.policy.dead_after));
        case LinkWatch::Proof::silent: return lose("the server's machine stopped acknowledging");
    }
    report(kernel_.has_our_device() ? LinkEvent::deadline : LinkEvent::leave);
}

void LinkKeeper::lose(const LineText& reason) {
    if (!kernel_.has_our_device()) return report(LinkEvent::leave);
    const Clock::time_point now = kernel_.now();
    log_.remember(reason, now);
    log_.write(log::Level::warning,
               LineText::of("{}: the link to {} is down: {}", device_.name(), device_.target().uri, reason),
               now);
    report(LinkEvent::link_lost);
}

void LinkKeeper::report(LinkEvent event) {
    std::optional<LinkEvent> next = event;
    while (next) next = carry_out(supervisor_->on(*next, kernel_.now()));
}

// --- Actions

std::optional<LinkEvent> LinkKeeper::carry_out(LinkAction action) {
    switch (action) {
        case LinkAction::none: break;
        case LinkAction::try_server: return new_.start(supervisor_->server());
        case LinkAction::drop_attempt: new_.drop_attempt(); break;
        case LinkAction::offer: return offer();
        case LinkAction::look: return look();
        case LinkAction::cut_link: cut(); break;
        case LinkAction::drop_link:
            new_.end_candidate();
            links_.name_none();
            break;
        case LinkAction::leave:
            listener_.leaving();
            links_.let_go();
            break;
    }
    return std::nullopt;
}

std::optional<LinkEvent> LinkKeeper::offer() {
    // The handshake took time. The kernel compares identifiers only if the device has one.
    if (!kernel_.has_our_device()) return LinkEvent::leave;
    const bool is_new = new_.has_candidate();
    DeviceChange change;
    change.socket = is_new ? new_.descriptor() : links_.descriptor();
    if (is_new) {
        watch_.before_use(*change.socket);
        links_.name_new(*change.socket);
        store_.save();
    }
    if (auto done = kernel_.reconfigure(change); !done) return judge_refusal(done.error(), is_new);
    refusals_ = 0;
    if (is_new) welcome();
    return LinkEvent::accepted;
}

LinkEvent LinkKeeper::judge_refusal(const SysError& error, bool is_new) {
    log_.note_failure(error.text(), kernel_.now());
    // A device that was disconnected while open keeps its name, but never accepts a link again.
    const bool refused = error.code == EINVAL;
    if (refused && ++refusals_ >= most_refusals) return LinkEvent::leave;
    // Any other failure is the daemon's. A link that the kernel has is offered again soon; it may be
    // healthy.
    return is_new || refused ? LinkEvent::rejected : LinkEvent::accepted;
}

void LinkKeeper::welcome() {
    NewLink::Candidate candidate = new_.take_candidate();
    const Clock::time_point now = kernel_.now();
    links_.replace(std::move(candidate.link.socket));
    watch_.start(links_.descriptor());
    links_.watch();
    record_outage(now);
    if (candidate.cache_lost) {
        ++device_.live.cache_lost;
        log_.write(log::Level::error,
                   LineText::of("{}: the server lost its cache: its machine restarted, or is a different "
                                "one, while writes may have been unflushed; unflushed data may be lost",
                                device_.name()),
                   kernel_.now());
    }
    record_session(candidate);
    listener_.link_established(whole_blocks(candidate.link.offer.size, device_.record.block_size));
    store_.save();
}

void LinkKeeper::record_outage(Clock::time_point now) {
    LiveState& live = device_.live;
    live.last_outage = since_boot(now) - live.link_changed_at;
    live.longest_outage = std::max(live.longest_outage, live.last_outage);
    live.link_changed_at = since_boot(now);
    live.link_up = true;
    live.linked_target = live.target;
    ++live.reconnects;
    log_.write(log::Level::notice,
               LineText::of("{}: the link to {} is up again after {}", device_.name(), device_.target().uri,
                            in_tenths(live.last_outage)),
               kernel_.now());
}

void LinkKeeper::record_session(const NewLink::Candidate& candidate) noexcept {
    LiveState& live = device_.live;
    const auto& session = candidate.link.session;
    live.session_known = session.has_value();
    live.writes_stable = session && writes_stay_stable(live, *session);
    if (session) {
        live.boot_identity = session->boot_identity;
        live.export_identity = session->export_identity;
    }
    live.host_fenced = session && session->host_fenced;
    live.request_limit = whole_requests(candidate.link.offer.block_sizes.maximum, device_.record.block_size);
}

std::optional<LinkEvent> LinkKeeper::look() {
    links_.forget_vanished(true);
    const LinkWatch::Look result = watch_.look(links_.descriptor(), kernel_.now());
    if (result.next) supervisor_->look_every(*result.next);
    return result.event;
}

void LinkKeeper::cut() {
    const Clock::time_point now = kernel_.now();
    LiveState& live = device_.live;
    if (links_.has_socket()) {
        const int link = links_.descriptor();
        links_.ignore();
        const auto health = health_of(link);
        if (health) supervisor_->learn_round_trip(health->round_trip);
        // A machine that has merely fallen silent may still apply the writes that it holds, and no other
        // machine can fence them. The administrator's dead-after says when the machine counts as dead.
        live.elsewhere_after = Monotonic{0};
        if (!is_ended_by_peer(link))
            live.elsewhere_after = since_boot(now) + device_.record.policy.dead_after -
                                   (health ? health->last_acknowledgement : milliseconds{0});
        links_.cut();
    }
    links_.name_none();
    watch_.link_lost(now);
    live.link_changed_at = since_boot(now);
    live.link_up = false;
    log_.forget_errors();
    listener_.link_lost();
    store_.save();
}

}  // namespace holdfast::client
