// Decides what is to be done for the link of an attached device, and when. Knows no sockets, no kernel, no
// clock: events and the time come in, an action and a deadline come out.
//
// A pure, total table: every event has a meaning in every state, if only to be ignored because it comes late.
// The daemon carries the actions out and reports what became of them as further events.
#pragma once

#include <chrono>
#include <cstdint>

#include "client/daemon/retry.hh"

namespace holdfast::client {

enum class LinkState : std::uint8_t {
    waiting,      // no link; the deadline is the next attempt
    connecting,   // an attempt waits for its connection
    negotiating,  // the attempt's handshake goes on
    attaching,    // a new link is ready, and waits until the kernel has let go of the old one
    proving,      // the kernel was given the link, and was not seen to use it yet
    attached,     // the kernel uses the link
    leaving,      // the end, and the only state without a deadline
};

enum class LinkEvent : std::uint8_t {
    deadline,   // deadline() has passed
    link_lost,  // the link that the kernel has, or was given, is dead
    slot_free,  // LINK_DEAD: the kernel has let go of a socket
    connected,  // the attempt's connection stands
    agreed,     // the attempt's handshake is over, and its export may carry the device
    failed,     // the attempt came to nothing
    accepted,   // RECONFIGURE took the new link, which says little: the kernel drops one that it has no room
                // for
    rejected,   // RECONFIGURE was refused
    used,       // answers came in on the link
    leave,      // the device is detached, or another daemon has it now
};

enum class LinkAction : std::uint8_t {
    none,
    try_server,    // begin an attempt at server()
    drop_attempt,  // end the attempt
    offer,         // give the link to the kernel, once more where it was given before
    look,          // see whether the link is well
    cut_link,      // shut the link down: nothing more may come from it
    drop_link,     // close the new link, of which the kernel wants to know nothing
    leave,
};

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
    enum class Due : std::uint8_t { keep, pause, connect, attempt, let_go, prove, look, never };
    struct Rule {
        LinkState next;
        LinkAction action = LinkAction::none;
        Due due = Due::keep;
    };
    [[nodiscard]] static Rule rule_for(LinkState state, LinkEvent event) noexcept;
    [[nodiscard]] Time due_at(Due due, Time now) noexcept;
    void enter(const Rule& rule, LinkEvent event, Time now) noexcept;

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
