// Decides when the network of the root disk's link is remembered, and when it is restored.
//
// Restores only what nobody replaced: while a route to the server remains, an administrator or a network
// manager may have chosen another address or another interface, so the daemon first tries to reconnect. Pure:
// no kernel, no clock, no allocation.
#pragma once

#include <chrono>
#include <cstdint>

#include "common/linux/clock.hh"

namespace holdfast::client {

// The network of the link at one moment. "The card" is the remembered interface, or the one in its place.
struct NetworkLook {
    bool card = false;     // the card exists
    bool up = false;       // ... is not set down
    bool address = false;  // some interface has the link's address
    bool bare = false;     // the card has no global address of the link's family
    bool route = false;    // the kernel has a route to the server
    bool by_card = false;  // ... through the interface with the link's address, which gets packets

    bool operator==(const NetworkLook&) const = default;
};

enum class NetworkStep : std::uint8_t { none, remember, restore };

class NetworkWatch {
public:
    using Time = Clock::time_point;

    // Time without any route to the server before the network is restored; a manager that configures the
    // interface anew is faster.
    static constexpr std::chrono::seconds patience{3};
    // Time without a link to the server, if there is another route to it.
    static constexpr std::chrono::seconds patience_with_route{10};
    // Pause between two attempts.
    static constexpr std::chrono::seconds pause{5};

    // Reports whether the daemon has a link to the server.
    void link_is(bool up, Time now) noexcept;
    [[nodiscard]] NetworkStep judge(const NetworkLook& look, Time now) noexcept;
    // Time of the next look if nothing changes until then; Time::max(): none.
    [[nodiscard]] Time deadline() const noexcept { return deadline_; }

private:
    [[nodiscard]] Time due(const NetworkLook& look, Time now) noexcept;

    bool link_up_ = false;
    Time link_lost_{};
    Time damaged_ = Time::max();   // since when
    Time restored_ = Time::min();  // last attempt
    Time deadline_ = Time::max();
};

}  // namespace holdfast::client
