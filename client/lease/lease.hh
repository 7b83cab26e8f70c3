// Keeps the DHCP lease of the address through which the root disk is reached: decides when and to which
// server to send a renewal, and interprets the answers. The initramfs's ipconfig got the lease and exited;
// without a renewal the server would give the address to another machine.
//
// Never gives the address up, whatever a server answers and however long no server answers: losing the
// address means losing the root disk. A refusal is reported, and the requests continue. Pure: no sockets, no
// clock, no allocation; bytes and the time in, bytes and a deadline out.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "client/lease/dhcp_message.hh"
#include "common/linux/clock.hh"
#include "common/linux/jitter.hh"
#include "common/text/fixed_text.hh"

namespace holdfast::client {

// Constant facts of a lease. `address` is the leased address.
struct LeaseRecord {
    FixedText<16> interface;
    Ipv4 address = 0;
    DhcpClient client;

    bool operator==(const LeaseRecord&) const = default;
};

// State changed by a renewal. The durations are seconds from `obtained_at`, which is on CLOCK_MONOTONIC.
struct LeaseState {
    Ipv4 server = 0;  // server that granted the lease; 0: unknown, as after the boot
    std::chrono::milliseconds obtained_at{0};
    std::uint32_t seconds = 0;       // granted; infinite_lease: unlimited
    std::uint32_t renew_after = 0;   // T1: ask the server from this time on; 0: default of RFC 2131
    std::uint32_t rebind_after = 0;  // T2: ask every server from this time on
    std::uint64_t renewals = 0;
    LineText problem;  // empty: the last answer was good

    bool operator==(const LeaseState&) const = default;
};

// A lease left behind by another DHCP client.
struct GrantedLease {
    LeaseRecord record;
    LeaseState state;

    bool operator==(const GrantedLease&) const = default;
};

// Remaining seconds of a lease; infinite_lease if unlimited.
[[nodiscard]] std::uint32_t seconds_left(const LeaseState& state, std::chrono::milliseconds now) noexcept;

class Lease {
public:
    using Time = Clock::time_point;

    Lease(const LeaseRecord& record, const LeaseState& state, std::uint64_t seed, Time now) noexcept;

    [[nodiscard]] const LeaseRecord& record() const noexcept { return record_; }
    [[nodiscard]] const LeaseState& state() const noexcept { return state_; }
    // Facts of the last renewal by this object.
    [[nodiscard]] const NetworkFacts& facts() const noexcept { return facts_; }
    // Time at which on_deadline() is due; Time::max() for an unlimited lease.
    [[nodiscard]] Time deadline() const noexcept { return deadline_; }

    struct Send {
        DhcpRequest request;
        Ipv4 to = broadcast;
    };
    static constexpr Ipv4 broadcast = 0xffffffff;
    // Returns the request to send; empty before the deadline.
    [[nodiscard]] std::optional<Send> on_deadline(Time now) noexcept;
    // Records that the request could not be sent. The deadline is unchanged.
    void on_send_failure(const LineText& reason) noexcept;
    // Processes bytes from a DHCP server. Returns true if they renewed the lease.
    bool on_packet(std::span<const std::uint8_t> packet, Time now) noexcept;

    // A log message: each problem once until the lease is renewed, and the renewal that ends it.
    struct News {
        enum class Weight : std::uint8_t { good, worrying, grave };
        Weight weight = Weight::good;
        LineText text;
    };
    // Returns the news since the last call.
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
    NetworkFacts facts_;
    Jitter jitter_;
    Time deadline_ = Time::max();
    // Valid while a renewal is requested:
    bool asking_ = false;
    std::uint32_t transaction_ = 0;  // ID of the last request; only its answer is accepted
    Time asking_since_{};
    Time asked_at_{};            // time of the last request
    bool contested_ = false;     // a server has refused the renewal, or offered another address
    std::uint8_t reported_ = 0;  // problems reported since the last renewal
    std::optional<News> news_;
};

}  // namespace holdfast::client
