// Computes the table's deadlines.
//
// A link is offered repeatedly until it is known to be in use: RECONFIGURE returns success even if the kernel
// found no dead socket to replace and silently dropped the new socket (nbd_reconnect_socket returns ENOSPC,
// which nbd_genl_reconfigure turns into success), and there may be no dead socket for a moment after
// LINK_DEAD (the kernel reads nsock->dead without the lock, and queues the event before it sets the flag).
// Offering the same socket twice is harmless: the device has one connection, so either the socket is in use
// already and the second offer is dropped, or the first offer was dropped and the second is taken.

#include "client/daemon/supervisor.hh"

#include <algorithm>
#include <array>
#include <utility>

namespace holdfast::client {
namespace {

using std::chrono::milliseconds;

// Offers of a link not yet known to be in use: a few quick offers, then slow offers for as long as the disk
// is idle.
constexpr std::uint32_t quick_offers = 5;
constexpr milliseconds quick_offer{200};
constexpr milliseconds slow_offer{1000};

// Attempts at a silent machine have a short timeout, so that its return is noticed soon, except every
// sixteenth.
constexpr std::uint64_t patient_every = 16;
constexpr milliseconds longest_connect{5000};

constexpr std::array state_words{
    std::pair{LinkState::waiting, "waiting"},         std::pair{LinkState::connecting, "connecting"},
    std::pair{LinkState::negotiating, "negotiating"}, std::pair{LinkState::attaching, "attaching"},
    std::pair{LinkState::proving, "proving"},         std::pair{LinkState::attached, "attached"},
    std::pair{LinkState::leaving, "leaving"},
};

}  // namespace

const char* word_of(LinkState state) noexcept {
    for (const auto& [candidate, word] : state_words)
        if (candidate == state) return word;
    return "?";
}

Supervisor::Supervisor(const LinkTiming& timing, std::uint32_t servers, std::uint32_t server,
                       std::uint64_t seed, Time now) noexcept
    : timing_(timing),
      jitter_(seed),
      servers_(std::max(servers, 1U)),
      server_(server),
      attempt_began_(now),
      link_began_(now) {
    deadline_ = due_at(LinkDeadline::prove, now);
}

Supervisor Supervisor::without_link(const LinkTiming& timing, std::uint32_t servers, std::uint32_t server,
                                    std::uint64_t seed, Time now) noexcept {
    Supervisor supervisor(timing, servers, server, seed, now);
    supervisor.state_ = LinkState::waiting;
    supervisor.deadline_ = now;
    return supervisor;
}

void Supervisor::learn_round_trip(milliseconds round_trip) noexcept {
    timing_.connect = std::clamp(4 * round_trip, LinkTiming{}.connect, longest_connect);
}

Supervisor::Time Supervisor::due_at(LinkDeadline due, Time now) noexcept {
    switch (due) {
        case LinkDeadline::keep: return deadline_;
        // Counted from the attempt's start: an attempt that waited for an answer has spent its pause already.
        case LinkDeadline::pause:
            return std::max(now, attempt_began_ + pause_before(attempts_, servers_, jitter_));
        case LinkDeadline::connect:
            return now + (attempts_ % patient_every == 0 ? std::max(timing_.patient, timing_.connect)
                                                         : timing_.connect);
        case LinkDeadline::attempt: return attempt_began_ + timing_.attempt;
        case LinkDeadline::let_go: return slot_free_ ? now : now + timing_.let_go;
        case LinkDeadline::prove: return now + (offers_ <= quick_offers ? quick_offer : slow_offer);
        case LinkDeadline::look: return now + timing_.look;
        case LinkDeadline::never: return Time::max();
    }
    return now;
}

// Updates the numbers for an action, before the next deadline is computed from them.
void Supervisor::count(LinkAction action, Time now) noexcept {
    switch (action) {
        case LinkAction::try_server:
            // Try the last used server first.
            if (attempts_ > 0) server_ = (server_ + 1) % servers_;
            ++attempts_;
            attempt_began_ = now;
            return;
        case LinkAction::offer: ++offers_; return;
        case LinkAction::cut_link:
            // A server that takes the link and drops it at once counts as a failed attempt: without a pause,
            // client and server would loop at full speed.
            if (now - link_began_ >= timing_.lasting) attempts_ = 0;
            slot_free_ = false;
            return;
        default: return;
    }
}

void Supervisor::enter(const LinkRule& rule, LinkEvent event, Time now) noexcept {
    const bool had_link = has_link();
    if (event == LinkEvent::slot_free && !had_link) slot_free_ = true;
    count(rule.action, now);
    if (rule.next == LinkState::attaching && state_ != LinkState::attaching) offers_ = 0;
    if (rule.next == LinkState::proving && !had_link) link_began_ = now;
    state_ = rule.next;
}

LinkAction Supervisor::on(LinkEvent event, Time now) noexcept {
    const LinkRule& rule = link_rule(state_, event);
    enter(rule, event, now);
    deadline_ = due_at(rule.deadline, now);
    return rule.action;
}

}  // namespace holdfast::client
