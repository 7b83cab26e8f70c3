// Decides what is to be done for the link of an attached device, and when. Knows no sockets, no kernel, no
// clock: events and the time come in, an action and a deadline come out.
//
// link_table.hh has the table: every event has a meaning in every state, if only to be ignored because it
// comes late. The daemon carries the actions out and reports what became of them as further events.
#pragma once

#include <chrono>
#include <cstdint>

#include "client/daemon/link_table.hh"
#include "client/daemon/retry.hh"

namespace holdfast::client {

// Durations that are not the supervisor's to choose.
struct LinkTiming {
    std::chrono::milliseconds connect{400};     // for a connection to stand
    std::chrono::milliseconds patient{1500};    // the same, now and then: the way may have become longer
    std::chrono::milliseconds attempt{10'000};  // for an attempt in all
    std::chrono::milliseconds let_go{1000};     // for LINK_DEAD, before it is taken for lost
    std::chrono::milliseconds look{1000};       // between looks at a link in use
    std::chrono::milliseconds lasting{5000};    // a link that lived so long was one that worked
};

class Supervisor {
public:
    using Time = std::chrono::steady_clock::time_point;

    // Begins in `proving`, with the link to servers[server] that the kernel was given just now; with
    // `without_link`, in `waiting`, for an attempt at once.
    Supervisor(const LinkTiming& timing, std::uint32_t servers, std::uint32_t server, std::uint64_t seed,
               Time now) noexcept;
    [[nodiscard]] static Supervisor without_link(const LinkTiming& timing, std::uint32_t servers,
                                                 std::uint32_t server, std::uint64_t seed, Time now) noexcept;

    // What is to be done. The state is the new one when this returns.
    [[nodiscard]] LinkAction on(LinkEvent event, Time now) noexcept;

    // The way to the server takes so long: its connections may take some of it to stand.
    void learn_round_trip(std::chrono::milliseconds round_trip) noexcept;
    // How often a link in use is to be looked at from the next look on.
    void look_every(std::chrono::milliseconds interval) noexcept { timing_.look = interval; }

    [[nodiscard]] LinkState state() const noexcept { return state_; }
    // When `deadline` is due; Time::max() when leaving.
    [[nodiscard]] Time deadline() const noexcept { return deadline_; }
    // The index of the server that is in use or tried.
    [[nodiscard]] std::uint32_t server() const noexcept { return server_; }
    // The kernel has, or was given, a link.
    [[nodiscard]] bool has_link() const noexcept {
        return state_ == LinkState::proving || state_ == LinkState::attached;
    }
    // LINK_DEAD has come since the link was lost.
    [[nodiscard]] bool slot_is_free() const noexcept { return slot_free_; }
    [[nodiscard]] bool attempt_in_flight() const noexcept {
        return state_ == LinkState::connecting || state_ == LinkState::negotiating;
    }

private:
    [[nodiscard]] Time due_at(LinkDeadline due, Time now) noexcept;
    void enter(const LinkRule& rule, LinkEvent event, Time now) noexcept;

    LinkTiming timing_;
    Jitter jitter_;
    std::uint32_t servers_;
    std::uint32_t server_;
    LinkState state_ = LinkState::proving;
    Time deadline_{};
    Time attempt_began_{};        // of the last attempt
    Time link_began_{};           // has a meaning while has_link()
    std::uint64_t attempts_ = 0;  // since a link that had lasted was lost
    std::uint32_t offers_ = 0;    // of the link that is proved
    bool slot_free_ = false;
};

[[nodiscard]] const char* word_of(LinkState state) noexcept;

}  // namespace holdfast::client
