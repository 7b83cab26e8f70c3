// Uses a single lock, held briefly. Threads that wait for the disk do not hold the lock.

#include "server/export/sessions.hh"

#include <fmt/core.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <utility>

namespace holdfast::server {

std::string ClaimRefusal::text(std::uint32_t claimed) const {
    switch (why) {
        case Why::generation:
            return fmt::format("stale generation {}: generation {} of this session was here before", claimed,
                               generation);
        case Why::attachment: return "the session is over: its machine has since attached the device again";
        case Why::superseded:
            return "the session was superseded by a newer attachment with the same host identity; detach the "
                   "device with --force, and if that attachment is another machine's, give each machine its "
                   "own DMI UUID, hardware address or machine-id";
        case Why::other_alive:
            return fmt::format(
                "another machine with the same host identity has the disk and answers ({}); detach it there, "
                "and give each machine its own DMI UUID, hardware address or machine-id",
                peer);
        case Why::left: return "the claim was abandoned while its machine's older connection was probed";
        case Why::late: return "the machine's older connection was not proven dead in time";
    }
    return {};
}

// Returns a reason to refuse the claim that does not depend on whether other machines are reachable.
std::optional<ClaimRefusal> Sessions::flaw_of(const Claimant& claimant) const {
    using Why = ClaimRefusal::Why;
    if (const auto found = slots_.find(claimant.key); found != slots_.end()) {
        if (found->second.superseded) return ClaimRefusal{Why::superseded, 0, {}};
        if (claimant.generation <= found->second.generation)
            return ClaimRefusal{Why::generation, found->second.generation, {}};
    }
    if (!claimant.host) return std::nullopt;
    const auto found = hosts_.find(claimant.host->key);
    if (found == hosts_.end() || found->second.session == claimant.key.session) return std::nullopt;
    const Host& host = found->second;
    if (host.boot == claimant.host->boot)
        return claimant.host->attachment > host.attachment
                   ? std::nullopt
                   : std::optional(ClaimRefusal{Why::attachment, 0, {}});
    if (std::ranges::find(host.superseded_boots, claimant.host->boot) != host.superseded_boots.end())
        return ClaimRefusal{Why::superseded, 0, {}};
    return std::nullopt;
}

Sessions::Rival Sessions::probe(const SessionPlace& place, const Claimant& claimant,
                                Clock::time_point since) const {
    using PeerState = Fenceable::PeerState;
    const PeerState state = place.connection_.look_for_peer(since);
    const bool same_address = place.host_->address == claimant.host->address;
    if (state == PeerState::answers || (state == PeerState::sleeps && !same_address)) return Rival::alive;
    return state == PeerState::silent && Clock::now() - since < silence_ ? Rival::unknown : Rival::none;
}

// Probes connections from another boot: either of this machine before its reset, or of another machine that
// has the same identity by accident. An idle connection from the claimant's own address may belong to a proxy
// that acknowledges for an unreachable client.
Sessions::Rival Sessions::look_for_rival(const Claimant& claimant, Clock::time_point since,
                                         std::string& peer) {
    if (!claimant.host) return Rival::none;
    const auto found = hosts_.find(claimant.host->key);
    if (found == hosts_.end()) return Rival::none;
    Rival rival = Rival::none;
    for (SessionPlace* const one : found->second.places) {
        if (one->fenced_ || one->host_->boot == claimant.host->boot) continue;
        const Rival probed = probe(*one, claimant, since);
        if (probed == Rival::alive) peer = one->peer_;
        if (probed == Rival::alive || rival == Rival::none) rival = probed;
    }
    if (rival != Rival::alive) return rival;
    for (SessionPlace* const one : found->second.places) one->connection_.look_no_more();
    return rival;
}

void Sessions::fence(SessionPlace& place) {
    place.fenced_ = true;
    place.connection_.fence();
}

// Covers all exports, since two exports may share a disk, and all slots, with or without a connection.
bool Sessions::knows_session(const nbd::Uuid& session) const {
    const auto one = slots_.lower_bound({session, 0, {}});
    return one != slots_.end() && one->first.session == session;
}

std::unique_ptr<SessionPlace> Sessions::take(const Claimant& claimant) {
    const bool seen = knows_session(claimant.key.session);
    const auto [found, first] = slots_.try_emplace(claimant.key);
    Slot& slot = found->second;
    if (!first && slot.places.empty()) idle_[claimant.key.export_name].erase(slot.idle);
    slot.generation = claimant.generation;
    for (SessionPlace* const older : slot.places) fence(*older);
    std::unique_ptr<SessionPlace> place(new SessionPlace(*this, claimant.key, claimant.generation,
                                                         claimant.connection, claimant.peer, claimant.host));
    place->first_ = !seen;
    slot.places.push_back(place.get());
    if (claimant.host) enter_host(*claimant.host, *place);
    return place;
}

void Sessions::enter_host(const HostClaim& claim, SessionPlace& place) {
    Host& host = hosts_[claim.key];
    if (host.used != 0 && host.boot != claim.boot) {
        host.superseded_boots.push_back(host.boot);
        if (host.superseded_boots.size() > most_boots)
            host.superseded_boots.erase(host.superseded_boots.begin());
    }
    for (SessionPlace* const older : host.places) {
        if (older->key_.session == place.key_.session) continue;
        slots_.find(older->key_)->second.superseded = true;
        if (!older->fenced_) fence(*older);
    }
    host.session = place.key_.session;
    host.boot = claim.boot;
    host.attachment = claim.attachment;
    host.used = ++claims_;
    host.places.push_back(&place);
    forget_oldest_host(claim.key.disk);
}

// True if every older connection of the slot, and of the host's other sessions, has released the disk.
bool Sessions::stands(const SessionPlace& place) const {
    if (slots_.find(place.key_)->second.places.front() != &place) return false;
    if (!place.host_) return true;
    for (const SessionPlace* const one : hosts_.find(place.host_->key)->second.places) {
        if (one == &place) break;
        if (one->key_.session != place.key_.session) return false;
    }
    return true;
}

Sessions::Claimed Sessions::claim(const Claimant& claimant, int socket, Deadline deadline) {
    using Why = ClaimRefusal::Why;
    constexpr int between_looks_ms = 50;
    const auto began = Clock::now();
    for (;;) {
        {
            const std::lock_guard lock(mutex_);
            if (auto flaw = flaw_of(claimant)) return std::unexpected(std::move(*flaw));
            std::string peer;
            const Rival rival = look_for_rival(claimant, began, peer);
            if (rival == Rival::none) return take(claimant);
            if (rival == Rival::alive) return std::unexpected(ClaimRefusal{Why::other_alive, 0, peer});
        }
        if (Clock::now() >= deadline) return std::unexpected(ClaimRefusal{Why::late, 0, {}});
        pollfd watched{socket, POLLRDHUP, 0};
        if (::poll(&watched, 1, between_looks_ms) > 0) return std::unexpected(ClaimRefusal{Why::left, 0, {}});
    }
}

std::size_t Sessions::size() const {
    const std::lock_guard lock(mutex_);
    return slots_.size();
}

std::size_t Sessions::hosts() const {
    const std::lock_guard lock(mutex_);
    return hosts_.size();
}

// Hosts of the same disk are adjacent in the map.
void Sessions::forget_oldest_host(const std::string& disk) {
    std::size_t count = 0;
    auto oldest = hosts_.end();
    for (auto one = hosts_.lower_bound({disk, {}}); one != hosts_.end() && one->first.disk == disk; ++one) {
        if (!one->second.places.empty()) continue;
        ++count;
        if (oldest == hosts_.end() || one->second.used < oldest->second.used) oldest = one;
    }
    if (count > most_hosts) hosts_.erase(oldest);
}

void Sessions::leave_host(SessionPlace& place) {
    Host& host = hosts_.find(place.host_->key)->second;
    std::erase(host.places, &place);
    if (host.places.empty()) return forget_oldest_host(place.host_->key.disk);
    SessionPlace& newest = *host.places.back();
    if (place.fenced_ && newest.key_.session != place.key_.session)
        newest.fenced_by_this_.push_back({place.peer_, place.generation_, place.unread_, true});
    // Each slot of the newer session waits separately.
    for (const SessionPlace* const waiting : host.places)
        if (waiting->let_go_) (void)::eventfd_write(waiting->let_go_.get(), 1);
}

void Sessions::let_go(SessionPlace& place) {
    const std::lock_guard lock(mutex_);
    if (place.host_) leave_host(place);
    Slot& slot = slots_.find(place.key_)->second;
    std::erase(slot.places, &place);
    if (slot.places.empty()) {
        Idle& idle = idle_[place.key_.export_name];
        slot.idle = idle.insert(idle.end(), place.key_);
        if (idle.size() > most_remembered) forget_oldest(place.key_.export_name);
        return;
    }
    SessionPlace& newest = *slot.places.back();
    if (place.fenced_) newest.fenced_by_this_.push_back({place.peer_, place.generation_, place.unread_});
    if (newest.let_go_) (void)::eventfd_write(newest.let_go_.get(), 1);
}

void Sessions::forget_oldest(const std::string& export_name) {
    Idle& idle = idle_.find(export_name)->second;
    slots_.erase(idle.front());
    idle.pop_front();
}

SessionPlace::~SessionPlace() { sessions_.let_go(*this); }

bool SessionPlace::fenced() const {
    const std::lock_guard lock(sessions_.mutex_);
    return fenced_;
}

std::vector<FencedConnection> SessionPlace::fenced_by_this() const {
    const std::lock_guard lock(sessions_.mutex_);
    return fenced_by_this_;
}

// A single poll watches the client's socket and the places of the older connections, so no periodic check is
// needed. Stop and fence shut down the socket, which ends the poll, too.
SessionPlace::Fence SessionPlace::wait(int socket, Deadline deadline) {
    for (;;) {
        {
            const std::lock_guard lock(sessions_.mutex_);
            if (fenced_) return Fence::overtaken;
            if (sessions_.stands(*this)) return Fence::stands;
            if (!let_go_) let_go_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
            if (!let_go_) return Fence::failed;
        }
        const Clock::time_point now = Clock::now();
        if (now >= deadline) return Fence::late;
        pollfd watched[] = {{socket, POLLRDHUP, 0}, {let_go_.get(), POLLIN, 0}};
        if (::poll(watched, 2, poll_timeout(deadline, now)) < 0) continue;
        eventfd_t count = 0;
        if (watched[1].revents != 0) {
            (void)::eventfd_read(let_go_.get(), &count);
            continue;
        }
        if (watched[0].revents != 0) return fenced() ? Fence::overtaken : Fence::left;
    }
}

}  // namespace holdfast::server
