// One lock, held for moments only. Who waits for the disk waits outside of it.

#include "server/sessions.hh"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <utility>

namespace holdfast::server {

std::expected<std::unique_ptr<SessionPlace>, std::uint32_t> Sessions::claim(SessionKey key,
                                                                            std::uint32_t generation,
                                                                            Fenceable& connection,
                                                                            std::string peer) {
    const std::lock_guard lock(mutex_);
    const auto [found, first] = slots_.try_emplace(key);
    Slot& slot = found->second;
    if (!first && generation <= slot.generation) return std::unexpected(slot.generation);
    if (!first && slot.places.empty()) idle_[key.export_name].erase(slot.idle);
    slot.generation = generation;
    for (SessionPlace* older : slot.places) {
        older->fenced_ = true;
        older->connection_.fence();
    }
    std::unique_ptr<SessionPlace> place(
        new SessionPlace(*this, std::move(key), generation, connection, std::move(peer)));
    slot.places.push_back(place.get());
    return place;
}

std::size_t Sessions::size() const {
    const std::lock_guard lock(mutex_);
    return slots_.size();
}

void Sessions::let_go(SessionPlace& place) {
    const std::lock_guard lock(mutex_);
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

// The client's end of the connection and the places of the older ones are watched by one poll: there is
// nothing to look at again and again. Our own ends wake it as well, because to stop and to fence shuts the
// socket down.
SessionPlace::Fence SessionPlace::wait(int socket, Deadline deadline) {
    for (;;) {
        {
            const std::lock_guard lock(sessions_.mutex_);
            if (fenced_) return Fence::overtaken;
            if (sessions_.slots_.find(key_)->second.places.front() == this) return Fence::stands;
            if (!let_go_) let_go_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
            if (!let_go_) return Fence::failed;
        }
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
        if (left.count() <= 0) return Fence::late;
        pollfd watched[] = {{socket, POLLRDHUP, 0}, {let_go_.get(), POLLIN, 0}};
        if (::poll(watched, 2, static_cast<int>(std::min<long long>(left.count(), 60'000))) < 0) continue;
        eventfd_t count = 0;
        if (watched[1].revents != 0) {
            (void)::eventfd_read(let_go_.get(), &count);
            continue;
        }
        if (watched[0].revents != 0) return fenced() ? Fence::overtaken : Fence::left;
    }
}

}  // namespace holdfast::server
