// Decides on the next action for the link of an attached device, and its time. Uses no sockets, no kernel, no
// clock: event and time in, action and deadline out.
//
// The table in link_table.hh defines every event in every state; late events are ignored. The daemon carries
// out the actions and reports their results as further events.
#pragma once

#include <chrono>
#include <cstdint>

#include "client/daemon/link_table.hh"
#include "client/daemon/retry.hh"

namespace holdfast::client {

// Durations that the caller chooses.
struct LinkTiming {
    std::chrono::milliseconds connect{400};     // for a connection to be established
    std::chrono::milliseconds patient{1500};    // the same, occasionally: the route may be longer now
    std::chrono::milliseconds attempt{10'000};  // for a whole attempt
    std::chrono::milliseconds let_go{1000};     // for LINK_DEAD, before the event is considered lost
    std::chrono::milliseconds look{1000};       // between checks of a link in use
    std::chrono::milliseconds lasting{5000};    // minimum lifetime of a link that counts as working
};

class Supervisor {
public:
    using Time = std::chrono::steady_clock::time_point;

    // Starts in `proving`, with the link to servers[server] that the kernel was given just now;
    // `without_link` starts in `waiting`, with an attempt at once.
    Supervisor(const LinkTiming& timing, std::uint32_t servers, std::uint32_t server, std::uint64_t seed,
               Time now) noexcept;
    [[nodiscard]] static Supervisor without_link(const LinkTiming& timing, std::uint32_t servers,
                                                 std::uint32_t server, std::uint64_t seed, Time now) noexcept;

    // Returns the action to carry out; state() is already the new state.
    [[nodiscard]] LinkAction on(LinkEvent event, Time now) noexcept;

    // Adapts the connect timeout to the measured round trip.
    void learn_round_trip(std::chrono::milliseconds round_trip) noexcept;
    // Sets the interval between checks of a link in use, from the next check on.
    void look_every(std::chrono::milliseconds interval) noexcept { timing_.look = interval; }

    [[nodiscard]] LinkState state() const noexcept { return state_; }
    // Time of the event `deadline`; Time::max() when leaving.
    [[nodiscard]] Time deadline() const noexcept { return deadline_; }
    // Index of the server in use, or of the present attempt.
    [[nodiscard]] std::uint32_t server() const noexcept { return server_; }
    // True if the kernel has, or was given, a link.
    [[nodiscard]] bool has_link() const noexcept {
        return state_ == LinkState::proving || state_ == LinkState::attached;
    }
    // True if LINK_DEAD has come since the link was lost.
    [[nodiscard]] bool slot_is_free() const noexcept { return slot_free_; }
    [[nodiscard]] bool attempt_in_flight() const noexcept {
        return state_ == LinkState::connecting || state_ == LinkState::negotiating;
    }

private:
    [[nodiscard]] Time due_at(LinkDeadline due, Time now) noexcept;
    void count(LinkAction action, Time now) noexcept;
    void enter(const LinkRule& rule, LinkEvent event, Time now) noexcept;

    LinkTiming timing_;
    Jitter jitter_;
    std::uint32_t servers_;
    std::uint32_t server_;
    LinkState state_ = LinkState::proving;
    Time deadline_{};
    Time attempt_began_{};        // start of the last attempt
    Time link_began_{};           // valid only if has_link()
    std::uint64_t attempts_ = 0;  // since the loss of a link that had lasted
    std::uint32_t offers_ = 0;    // number of offers of the link in `proving`
    bool slot_free_ = false;
};

[[nodiscard]] const char* word_of(LinkState state) noexcept;

}  // namespace holdfast::client
