// Keeps the DHCP lease of the address that the root disk is reached by: when to ask for its renewal and whom,
// and what an answer means. The initramfs's ipconfig got the lease and ended; without a renewal the server
// would give the address to another machine.
//
// Never gives the address up, whatever a server says and however long none says anything: to lose it is to
// lose the root disk. A refusal is told, and the asking goes on. Pure: knows no sockets, no clock, and
// allocates nothing; bytes and the time come in, bytes and a deadline come out.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "client/lease/dhcp_message.hh"
#include "common/linux/jitter.hh"
#include "common/text/fixed_text.hh"

namespace holdfast::client {

// What does not change. `address` is the one that was leased.
struct LeaseRecord {
    FixedText<16> interface;
    Ipv4 address = 0;
    DhcpClient client;

    bool operator==(const LeaseRecord&) const = default;
};

// What a renewal changes. The durations are seconds from `obtained_at`, which is on CLOCK_MONOTONIC.
struct LeaseState {
    Ipv4 server = 0;  // that has granted it; 0: not known, as after the boot
    std::chrono::milliseconds obtained_at{0};
    std::uint32_t seconds = 0;       // granted; infinite_lease: for ever
    std::uint32_t renew_after = 0;   // T1: from here on the server is asked; 0: as RFC 2131 has it
    std::uint32_t rebind_after = 0;  // T2: from here on every server is
    std::uint64_t renewals = 0;
    LineText problem;  // empty: the last answer was good

    bool operator==(const LeaseState&) const = default;
};

// A lease as whoever got it left it behind.
struct GrantedLease {
    LeaseRecord record;
    LeaseState state;

    bool operator==(const GrantedLease&) const = default;
};

// How much of a lease is left, in seconds; infinite_lease where it has no end.
[[nodiscard]] std::uint32_t seconds_left(const LeaseState& state, std::chrono::milliseconds now) noexcept;

class Lease {
public:
    using Time = std::chrono::steady_clock::time_point;

    Lease(const LeaseRecord& record, const LeaseState& state, std::uint64_t seed, Time now) noexcept;

    [[nodiscard]] const LeaseRecord& record() const noexcept { return record_; }
    [[nodiscard]] const LeaseState& state() const noexcept { return state_; }
    // When on_deadline() is due; Time::max() for a lease without an end.
    [[nodiscard]] Time deadline() const noexcept { return deadline_; }

    struct Send {
        DhcpRequest request;
        Ipv4 to = broadcast;
    };
    static constexpr Ipv4 broadcast = 0xffffffff;
    // Empty where the deadline has not come yet.
    [[nodiscard]] std::optional<Send> on_deadline(Time now) noexcept;
    // It could not be sent. The deadline stays.
    void on_send_failure(const LineText& reason) noexcept;
    // Bytes from a DHCP server. True where they have renewed the lease.
    bool on_packet(std::span<const std::uint8_t> packet, Time now) noexcept;

    // What is to be logged: each problem once until the lease is renewed, and the renewal that ends it.
    struct News {
        enum class Weight : std::uint8_t { good, worrying, grave };
        Weight weight = Weight::good;
        LineText text;
    };
    // Since the last call.
    [[nodiscard]] std::optional<News> take_news() noexcept;

private:
    enum class Problem : std::uint8_t {
        unsendable = 1,
        unanswered = 2,
        refused = 4,
        other_address = 8,
        expired = 16
    };
    [[nodiscard]] Time at(std::uint32_t seconds) const noexcept;
    [[nodiscard]] std::chrono::milliseconds pause(Time now) noexcept;
    void note(Problem problem, const LineText& text) noexcept;
    void renew(const DhcpReply& reply) noexcept;
    void go_on_asking(Time now) noexcept;

    LeaseRecord record_;
    LeaseState state_;
    Jitter jitter_;
    Time deadline_ = Time::max();
    // While a renewal is asked for:
    bool asking_ = false;
    std::uint32_t transaction_ = 0;  // of the last request, whose answer alone is taken
    Time asking_since_{};
    Time asked_at_{};         // the last request
    bool contested_ = false;  // a server has refused it, or given another address
    std::uint8_t told_ = 0;   // problems, since the last renewal
    std::optional<News> news_;
};

}  // namespace holdfast::client
