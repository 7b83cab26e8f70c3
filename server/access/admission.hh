// Who is in the handshake, and who has to go when there are too many, so that strangers who connect and say
// nothing cannot use up the places of honest clients. Clients with an export are not counted here. Pure
// bookkeeping, except KnownClients, which has a lock.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <set>

#include "server/access/access.hh"

namespace holdfast::server {

class Admission {
public:
    using Clock = std::chrono::steady_clock;
    using Ticket = std::uint64_t;  // higher for each client that comes
    static constexpr std::size_t most = 1024;

    // No address: a UNIX socket. All clients of UNIX sockets are known, and of one network.
    [[nodiscard]] Ticket enter(const std::optional<Address>& from, bool known, Clock::time_point now);
    void leave(Ticket ticket);
    // An authfile names the client.
    void set_known(Ticket ticket);
    // A thread works for the client, which cannot go meanwhile.
    void set_busy(Ticket ticket, bool busy);

    [[nodiscard]] bool is_full() const { return guests_.size() >= most; }
    [[nodiscard]] std::size_t count() const { return guests_.size(); }
    // The ticket of the next client.
    [[nodiscard]] Ticket next() const { return next_; }

    // Who goes when there is no room: the client that came first of the network (/24 of IPv4, /64 of IPv6)
    // that has the most clients here. A known client goes only where there are no strangers, and only after
    // five seconds; a stranger has a tenth of a second, in which an honest one says something.
    [[nodiscard]] std::optional<Ticket> first_to_go(Clock::time_point now) const;

private:
    using Networks = std::map<Address, std::set<Ticket>>;
    struct Guest {
        Address network;
        bool known = false;
        bool busy = false;
        Clock::time_point since;
    };
    [[nodiscard]] Networks& networks_of(const Guest& guest) { return guest.known ? known_ : strangers_; }
    void list(Ticket ticket, const Guest& guest);
    void unlist(Ticket ticket, const Guest& guest);

    Ticket next_ = 0;
    std::map<Ticket, Guest> guests_;
    Networks strangers_;  // those who can go
    Networks known_;
};

// The addresses that have had a session: the last 4096. Safe to be called from any thread.
class KnownClients {
public:
    void add(const Address& address);
    [[nodiscard]] bool has(const Address& address) const;

private:
    static constexpr std::size_t most = 4096;
    mutable std::mutex mutex_;
    std::set<Address> addresses_;
    std::list<Address> oldest_first_;
};

// How many connections there are from each place, from accept to close. The main thread's alone.
class PlaceCounts {
public:
    // Counts one more, unless its place has `limit` of them. No address: a UNIX socket, which is not counted.
    [[nodiscard]] bool enter(const std::optional<Address>& from, std::uint32_t limit);
    void leave(const std::optional<Address>& from);

private:
    std::map<Address, std::uint32_t> places_;
};

// Whether it is this machine's own: 127.0.0.0/8 or ::1.
[[nodiscard]] bool is_loopback(const Address& address) noexcept;

}  // namespace holdfast::server
