// Separate epoll set, so that the main loop polls a single descriptor.

#include "server/connection/lobby.hh"

#include <fmt/core.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace holdfast::server {

Result<void> Lobby::open() {
    epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
    if (!epoll_) return sys_error("epoll_create1");
    return {};
}

void Lobby::enter(Connection& connection, bool known, bool judged, Deadline deadline) {
    const Admission::Ticket ticket = admission_.enter(connection.peer().address, known, Clock::now());
    const auto guest = guests_.emplace(connection.socket(), Guest{&connection, ticket, deadline}).first;
    if (judged) {
        (void)connection.begin(Verdicts::everything());
        return step(guest);
    }
    guest->second.state = State::unjudged;
    ++unjudged_;
    watch(guest->second, EPOLLRDHUP);
}

void Lobby::judge(Admission::Ticket ticket, const std::function<Verdicts(const Address&)>& verdicts) {
    std::vector<int> sockets;
    for (const auto& [socket, guest] : guests_) {
        if (guest.state == State::unjudged && guest.ticket < ticket) sockets.push_back(socket);
    }
    for (const int socket : sockets) {
        const auto guest = guests_.find(socket);
        Connection& connection = *guest->second.connection;
        guest->second.state = State::talking;
        --unjudged_;
        Verdicts verdict = verdicts(*connection.peer().address);
        if (verdict.is_known()) admission_.set_known(guest->second.ticket);
        if (connection.begin(std::move(verdict))) {
            step(guest);
        } else {
            end(guest);
        }
    }
}

void Lobby::turn() {
    std::array<epoll_event, 64> events;
    const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), 0);
    for (int i = 0; i < count; ++i) {
        // An earlier event may have ended this guest.
        const auto guest = guests_.find(events[static_cast<std::size_t>(i)].data.fd);
        if (guest == guests_.end()) continue;
        const State state = guest->second.state;
        if (state == State::talking) step(guest);
        if (state == State::leaving) drain(guest);
        // The only polled event is a disconnect by the client or a fence.
        if (state == State::unjudged || state == State::queued) end(guest);
    }
}

void Lobby::watch(Guest& guest, std::uint32_t events) {
    if (guest.events == events) return;
    epoll_event event{};
    event.events = events;
    event.data.fd = guest.connection->socket();
    const int how = guest.events == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
    // If epoll_ctl lacks memory, the handshake ends at its deadline.
    (void)::epoll_ctl(epoll_.get(), how, event.data.fd, &event);
    guest.events = events;
}

void Lobby::step(Guests::iterator guest) {
    switch (guest->second.connection->turn()) {
        case Connection::Turn::reads: return watch(guest->second, EPOLLIN);
        case Connection::Turn::writes: return watch(guest->second, EPOLLOUT);
        case Connection::Turn::calls: return call(guest);
        case Connection::Turn::serves: return serve(guest);
        case Connection::Turn::leaves: return begin_leaving(guest);
        case Connection::Turn::over: end(guest); return;
    }
}

void Lobby::serve(Guests::iterator guest) {
    watch(guest->second, 0);
    if (guest->second.connection->start_serving()) {
        forget(guest);
    } else {
        end(guest);
    }
}

void Lobby::call(Guests::iterator guest) {
    guest->second.called = guest->second.connection->called_export();
    Calls& calls = calls_[guest->second.called];
    if (calls.running < most_calls_for_one) return start_call(guest);
    guest->second.state = State::queued;
    watch(guest->second, EPOLLRDHUP);
    calls.queued.push_back(guest->first);
}

void Lobby::start_call(Guests::iterator guest) {
    Guest& one = guest->second;
    watch(one, 0);
    one.state = State::calling;
    ++calls_[one.called].running;
    admission_.set_busy(one.ticket, true);
    if (one.connection->start_call()) return;
    const std::string name = one.called;
    end(guest);
    call_over(name);
}

void Lobby::call_over(const std::string& name) {
    Calls& calls = calls_[name];
    --calls.running;
    if (!calls.queued.empty()) {
        const auto next = guests_.find(calls.queued.front());
        calls.queued.pop_front();
        return start_call(next);
    }
    if (calls.running == 0) calls_.erase(name);
}

void Lobby::take_back() {
    std::vector<int> over;
    for (const auto& [socket, guest] : guests_) {
        if (guest.state == State::calling && guest.connection->phase() != Connection::Phase::calling)
            over.push_back(socket);
    }
    for (const int socket : over) {
        const auto guest = guests_.find(socket);
        const std::string name = guest->second.called;
        if (guest->second.connection->phase() == Connection::Phase::back) {
            guest->second.connection->sleep();
            if (const auto later = guest->second.connection->take_progress()) guest->second.deadline = *later;
            guest->second.state = State::talking;
            admission_.set_busy(guest->second.ticket, false);
            step(guest);
        } else {
            forget(guest);
        }
        call_over(name);
    }
}

// Lets the final reply arrive first: closing a socket with unread data resets the connection.
void Lobby::begin_leaving(Guests::iterator guest) {
    constexpr std::chrono::milliseconds patience{500};
    (void)::shutdown(guest->first, SHUT_WR);
    guest->second.state = State::leaving;
    guest->second.deadline = std::min(guest->second.deadline, Clock::now() + patience);
    watch(guest->second, EPOLLIN);
}

void Lobby::drain(Guests::iterator guest) {
    std::array<std::uint8_t, 4096> nothing;
    const ssize_t count = ::recv(guest->first, nothing.data(), nothing.size(), MSG_DONTWAIT);
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) end(guest);
}

Lobby::Guests::iterator Lobby::end(Guests::iterator guest) {
    Connection& connection = *guest->second.connection;
    watch(guest->second, 0);
    const auto next = forget(guest);
    connection.end();
    ended_ = true;
    return next;
}

Lobby::Guests::iterator Lobby::forget(Guests::iterator guest) {
    admission_.leave(guest->second.ticket);
    if (guest->second.state == State::unjudged) --unjudged_;
    if (guest->second.state == State::queued)
        std::erase(calls_.find(guest->second.called)->second.queued, guest->first);
    return guests_.erase(guest);
}

void Lobby::on_time(Clock::time_point now) {
    for (auto next = guests_.begin(); next != guests_.end();) {
        const auto guest = next++;
        const Guest& one = guest->second;
        if (one.deadline > now || one.state == State::calling) continue;
        if (one.state == State::queued) {
            one.connection->log_handshake_end(
                fmt::format("{} clients are already waiting for export {}, whose disk does not answer",
                            most_calls_for_one, one.called));
        } else if (one.state != State::leaving) {
            one.connection->log_timeout();
        }
        end(guest);
    }
}

Deadline Lobby::deadline() const {
    Deadline next = no_deadline;
    for (const auto& [socket, guest] : guests_) {
        if (guest.state != State::calling) next = std::min(next, guest.deadline);
    }
    return next;
}

bool Lobby::make_room(Clock::time_point now, bool even_so) {
    if (!even_so && !admission_.is_full()) return true;
    const std::optional<Admission::Ticket> ticket = admission_.first_to_go(now);
    if (!ticket) return false;
    const auto guest =
        std::ranges::find_if(guests_, [&](const auto& one) { return one.second.ticket == *ticket; });
    if (guest == guests_.end()) return false;
    guest->second.connection->log_pushed_out();
    end(guest);
    return true;
}

void Lobby::end_all() {
    for (auto next = guests_.begin(); next != guests_.end();) {
        const auto guest = next++;
        if (guest->second.state != State::calling) end(guest);
    }
}

}  // namespace holdfast::server
