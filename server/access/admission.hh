// Clients in the handshake, and the choice of the client to disconnect when there are too many, so that
// silent strangers cannot use up the places of honest clients. Clients with an export are not counted here.
// Pure bookkeeping, except KnownClients, which has a lock.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <set>

#include "common/access/access.hh"
#include "common/linux/clock.hh"

namespace holdfast::server {

class Admission {
public:
    using Ticket = std::uint64_t;  // increases with each client
    static constexpr std::size_t most = 1024;

    // `from` is empty for a UNIX socket. All clients of UNIX sockets are known, and count as a single
    // network.
    [[nodiscard]] Ticket enter(const std::optional<Address>& from, bool known, Clock::time_point now);
    void leave(Ticket ticket);
    // Marks a client whose address an authfile contains.
    void set_known(Ticket ticket);
    // Marks a client that a thread works for. A busy client is not disconnected.
    void set_busy(Ticket ticket, bool busy);

    [[nodiscard]] bool is_full() const { return guests_.size() >= most; }
    [[nodiscard]] std::size_t count() const { return guests_.size(); }
    // Returns the ticket of the next client.
    [[nodiscard]] Ticket next() const { return next_; }

    // Chooses the client to disconnect when all places are taken: the oldest client of the network (/24 of
    // IPv4, /64 of IPv6) with the most clients here. Strangers go before known clients. A known client is
    // safe for its first five seconds, a stranger for a tenth of a second, enough for an honest client to
    // send something.
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
    Networks strangers_;  // candidates for disconnection
    Networks known_;
};

// The last 4096 addresses that have had a session. Thread-safe.
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

// Number of connections from each place (place_of()), from accept to close. Main thread only.
class PlaceCounts {
public:
    // Counts a connection, unless its place has `limit` of them. `from` is empty for a UNIX socket, which is
    // not counted.
    [[nodiscard]] bool enter(const std::optional<Address>& from, std::uint32_t limit);
    void leave(const std::optional<Address>& from);

private:
    std::map<Address, std::uint32_t> places_;
};

// Whether the address is this machine's own: 127.0.0.0/8 or ::1.
[[nodiscard]] bool is_loopback(const Address& address) noexcept;

}  // namespace holdfast::server
