// Before each step that acts for the device: the handshake took time, in which the device may have been
// detached and attached again.

#include "client/daemon/new_link.hh"

#include <algorithm>
#include <utility>

#include "client/daemon/offer_verdict.hh"
#include "client/link/link_health.hh"

namespace holdfast::client {

nbd::SessionClaim NewLink::next_claim() noexcept {
    // Tenths of a second since the boot: above every earlier generation, even if this daemon knows none,
    // since attempts are rarer than that.
    const auto tenths = static_cast<std::uint32_t>(since_boot(kernel_.now()).count() / 100);
    LiveState& live = device_.live;
    live.generation = std::max(live.generation + 1, tenths);
    return {device_.record.session, 0, live.generation, device_.record.host};
}

std::optional<LinkEvent> NewLink::fail(const LineText& reason) {
    log_.note_failure(reason, kernel_.now());
    return LinkEvent::failed;
}

std::optional<LinkEvent> NewLink::start(std::uint32_t server) {
    if (!kernel_.has_our_device()) return LinkEvent::leave;
    device_.live.target = server;
    const Target& target = device_.target();
    attempt_.emplace(target.endpoint,
                     nbd::ClientHandshake(nbd::ClientHandshake::Goal::go, target.export_name, next_claim()),
                     device_.record.policy.dead_after);
    return advance();
}

std::optional<LinkEvent> NewLink::advance() {
    if (!attempt_) return std::nullopt;
    attempt_->advance();
    switch (attempt_->state()) {
        case LinkAttempt::State::running: break;
        case LinkAttempt::State::failed: return fail(attempt_->error().text);
        case LinkAttempt::State::done: return judge();
    }
    const std::uint32_t events = attempt_->events() == POLLOUT ? EPOLLOUT : EPOLLIN;
    if (auto watched = loop_.watch(attempt_->descriptor(), events, tag_attempt); !watched)
        return fail(watched.error().text());
    if (!attempt_->connecting()) return LinkEvent::connected;
    return std::nullopt;
}

std::optional<LinkEvent> NewLink::judge() {
    loop_.forget(attempt_->descriptor());
    Link link = attempt_->take_link();
    attempt_.reset();
    const DeviceRecord& record = device_.record;
    const OfferVerdict verdict =
        client::judge(link.offer, link.session, record, device_.live, kernel_.writes() > 0);
    if (!verdict.refusal.empty()) return fail(verdict.refusal);
    if (is_too_early(link.session, record, device_.live, since_boot(kernel_.now())))
        return fail(
            "a different server machine, or a restarted one; used once the previous one has been silent for "
            "the dead-after time");
    if (!kernel_.has_our_device()) return LinkEvent::leave;
    if (verdict.cache_lost && record.policy.lost_cache == LostCache::fail) {
        const bool given_up = release_.give_up(
            "the server lost its cache: its machine restarted, or is a different one, while writes may have "
            "been unflushed (lost-cache=fail)");
        return given_up ? LinkEvent::leave : LinkEvent::failed;
    }
    candidate_ = Candidate{std::move(link), verdict.cache_lost};
    return LinkEvent::agreed;
}

void NewLink::expire() {
    attempt_->expire();
    log_.note_failure(attempt_->error().text, kernel_.now());
}

NewLink::Candidate NewLink::take_candidate() noexcept {
    Candidate taken = std::move(*candidate_);
    candidate_.reset();
    return taken;
}

void NewLink::end_candidate() noexcept {
    if (candidate_) end_link(candidate_->link.socket);
    candidate_.reset();
}

void NewLink::abandon() noexcept {
    if (attempt_) loop_.forget(attempt_->descriptor());
    attempt_.reset();
    candidate_.reset();
}

}  // namespace holdfast::client
