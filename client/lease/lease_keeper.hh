// The lease's edge: a UDP socket on the interface, at the port of DHCP's clients. What is sent, and when, is
// lease.hh's.
//
// It is opened before the daemon's seal, with the right to that port; all else works without rights and after
// the seal.
//
// Several devices that are reached by one address have a daemon each, and one of these daemons renews the
// lease: the kernel gives an answer to one socket only, if several are at one port, and prefers one that is
// bound to the interface. The turn is a lock on /run/holdfast/lease-INTERFACE, which goes to another daemon
// when its holder ends or stands back; only its holder's socket is bound.
#pragma once

#include <cstdint>
#include <optional>

#include "client/lease/lease.hh"
#include "common/linux/fd.hh"
#include "common/linux/result.hh"

namespace holdfast::client {

// The IPv4 address from which a connected socket sends; empty where it is no socket of IPv4.
[[nodiscard]] std::optional<Ipv4> local_address(int socket) noexcept;

// Fills in the client's hardware type and address, as the interface has them. EAFNOSUPPORT: of a kind with
// which ipconfig gets no lease.
[[nodiscard]] Result<void> read_hardware_address(LeaseRecord& record);

class LeaseKeeper {
public:
    // What fails is told like a request that cannot be sent: the disk is well without.
    LeaseKeeper(const LeaseRecord& record, std::string_view folder);
    // -1 where there is none.
    [[nodiscard]] int descriptor() const noexcept { return socket_ ? socket_->get() : -1; }

    // From here on the lease is this process's, and `advance` may be called.
    void start(const LeaseState& state, std::uint64_t seed, Lease::Time now) noexcept;
    [[nodiscard]] Lease::Time deadline() const noexcept;
    // Takes what has come, and sends what is due. True where state() is another now, and is to be saved.
    [[nodiscard]] bool advance(Lease::Time now) noexcept;
    // Throws away what has come.
    void drain() noexcept;
    // Leaves the turn to another daemon, until start() or advance() gets it again. Until then no answer that
    // another one waits for comes here.
    void stand_back() noexcept;
    // Whether this daemon has the turn. Another one's renewals are not known here.
    [[nodiscard]] bool has_turn() const noexcept { return has_turn_; }
    [[nodiscard]] std::optional<Lease::News> take_news() noexcept;
    // After start().
    [[nodiscard]] const LeaseState& state() const noexcept { return lease_->state(); }

private:
    [[nodiscard]] Result<void> send(const Lease::Send& message) noexcept;

    void take_turn(Lease::Time now) noexcept;

    LeaseRecord record_;
    Result<Fd> socket_;
    Fd turn_;  // empty: it could not be opened, and the turn is taken anyway
    std::optional<Lease> lease_;
    std::uint64_t seed_ = 0;
    bool has_turn_ = false;
    bool has_waited_ = false;  // for another daemon, which had the turn
    Lease::Time next_try_{};   // to get the turn
};

}  // namespace holdfast::client
