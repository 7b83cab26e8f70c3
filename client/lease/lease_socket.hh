// I/O of the lease: a UDP socket on the interface, at the DHCP client port. lease.hh decides contents and
// time of the messages.
//
// The socket is opened before the daemon's seal, with the privilege for that port; everything else works
// without privileges and after the seal.
//
// Several devices reached through the same address have a daemon each, and only one of these daemons renews
// the lease: if several sockets are at the same port, the kernel delivers an answer to a single socket, and
// prefers a socket bound to the interface. The turn is a lock on /run/holdfast/lease-INTERFACE, which passes
// to another daemon when its holder exits or releases it; only the holder's socket is bound.
#pragma once

#include <cstdint>
#include <optional>

#include "client/lease/lease.hh"
#include "common/linux/fd.hh"
#include "common/linux/result.hh"

namespace holdfast::client {

// Returns the source IPv4 address of a connected socket; empty if it is not an IPv4 socket.
[[nodiscard]] std::optional<Ipv4> local_address(int socket) noexcept;

// Reads the interface's hardware type and address into the record. EAFNOSUPPORT: a hardware type for which
// ipconfig gets no lease.
[[nodiscard]] Result<void> read_hardware_address(LeaseRecord& record);

class LeaseSocket {
public:
    // Opens the socket. A failure is reported like a request that cannot be sent: the disk works without the
    // lease's renewal.
    LeaseSocket(const LeaseRecord& record, std::string_view folder);
    // -1 if there is no socket.
    [[nodiscard]] int descriptor() const noexcept { return socket_ ? socket_->get() : -1; }

    // Takes responsibility for the lease; `advance` may be called from here on.
    void start(const LeaseState& state, std::uint64_t seed, Lease::Time now) noexcept;
    [[nodiscard]] Lease::Time deadline() const noexcept;
    // Processes received messages and sends due requests. Returns true if state() has changed and must be
    // saved.
    [[nodiscard]] bool advance(Lease::Time now) noexcept;
    // The address is on this interface now, or on this interface created anew: answers come from there.
    void move_to(std::string_view interface, Lease::Time now) noexcept;
    [[nodiscard]] std::string_view interface() const noexcept { return record_.interface; }
    // Discards received messages.
    void drain() noexcept;
    // Passes the turn to another daemon, until start() or advance() gets the turn again. Until then this
    // socket receives no answers meant for another daemon.
    void release_turn() noexcept;
    // True if this daemon has the turn. Renewals by another daemon are unknown here.
    [[nodiscard]] bool has_turn() const noexcept { return has_turn_; }
    [[nodiscard]] std::optional<Lease::News> take_news() noexcept;
    // Valid after start().
    [[nodiscard]] const LeaseState& state() const noexcept { return lease_->state(); }
    [[nodiscard]] const NetworkFacts& facts() const noexcept { return lease_->facts(); }

private:
    [[nodiscard]] Result<void> send(const Lease::Send& message) noexcept;

    void take_turn(Lease::Time now) noexcept;
    void bind_to_interface() noexcept;
    void unbind() noexcept;

    LeaseRecord record_;
    Result<Fd> socket_;
    Fd turn_;  // empty: the lock file could not be opened, and the turn is taken anyway
    std::optional<Lease> lease_;
    std::uint64_t seed_ = 0;
    bool has_turn_ = false;
    bool has_waited_ = false;  // another daemon had the turn before
    Lease::Time next_try_{};   // next attempt to get the turn
};

}  // namespace holdfast::client
