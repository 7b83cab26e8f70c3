// Transition table of an attached device's link: state and event to next state, action and deadline. Pure;
// the supervisor holds the numbers that deadlines depend on. A unit test compares this table with
// ARCHITECTURE.md.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>

namespace holdfast::client {

enum class LinkState : std::uint8_t {
    waiting,      // no link; the deadline is the next attempt
    connecting,   // an attempt waits for its connection
    negotiating,  // the attempt's handshake is in progress
    attaching,    // a new link is ready, and waits until the kernel has released the old link
    proving,      // the kernel was given the link, but is not known to use the link yet
    attached,     // the kernel uses the link
    leaving,      // final state, the only state without a deadline
};

enum class LinkEvent : std::uint8_t {
    deadline,   // deadline() has passed
    link_lost,  // the link that the kernel has, or was given, is dead
    slot_free,  // LINK_DEAD: the kernel has released a socket
    connected,  // the attempt's connection is established
    agreed,     // the attempt's handshake is complete, and its export is usable for the device
    failed,     // the attempt failed
    accepted,  // RECONFIGURE returned success, which proves little: the kernel drops a link for which no slot
               // is free
    rejected,  // RECONFIGURE failed
    used,      // answers arrived on the link
    leave,     // the device is detached, or another daemon has taken the device over
};

enum class LinkAction : std::uint8_t {
    none,
    try_server,    // start an attempt at server()
    drop_attempt,  // end the attempt
    offer,         // give the link to the kernel, again if necessary
    look,          // check the link's health
    cut_link,      // shut the link down: no more data may come from it
    drop_link,     // close the new link, which the kernel rejected
    leave,
};

// Rule for the next deadline.
enum class LinkDeadline : std::uint8_t {
    keep,     // the present deadline
    pause,    // before the next attempt, counted from the start of the last
    connect,  // for the connection to be established
    attempt,  // for the whole attempt
    let_go,   // for LINK_DEAD; at once if already received
    prove,    // the next offer
    look,     // the next link check
    never,
};

struct LinkRule {
    LinkState next = LinkState::waiting;
    LinkAction action = LinkAction::none;
    LinkDeadline deadline = LinkDeadline::keep;

    bool operator==(const LinkRule&) const = default;
};

inline constexpr std::size_t link_states = 7;
inline constexpr std::size_t link_events = 10;

namespace link_table {

using S = LinkState;
using E = LinkEvent;
using A = LinkAction;
using D = LinkDeadline;

struct Transition {
    LinkState state;
    LinkEvent event;
    LinkRule rule;
};

inline constexpr std::array transitions{
    Transition{S::waiting, E::deadline, {S::connecting, A::try_server, D::connect}},
    Transition{S::waiting, E::leave, {S::leaving, A::leave, D::never}},

    Transition{S::connecting, E::connected, {S::negotiating, A::none, D::attempt}},
    Transition{S::connecting, E::agreed, {S::attaching, A::none, D::let_go}},
    Transition{S::connecting, E::failed, {S::waiting, A::drop_attempt, D::pause}},
    Transition{S::connecting, E::deadline, {S::waiting, A::drop_attempt, D::pause}},
    Transition{S::connecting, E::leave, {S::leaving, A::leave, D::never}},

    Transition{S::negotiating, E::agreed, {S::attaching, A::none, D::let_go}},
    Transition{S::negotiating, E::failed, {S::waiting, A::drop_attempt, D::pause}},
    Transition{S::negotiating, E::deadline, {S::waiting, A::drop_attempt, D::pause}},
    Transition{S::negotiating, E::leave, {S::leaving, A::leave, D::never}},

    Transition{S::attaching, E::slot_free, {S::attaching, A::offer, D::let_go}},
    Transition{S::attaching, E::deadline, {S::attaching, A::offer, D::let_go}},
    Transition{S::attaching, E::accepted, {S::proving, A::none, D::prove}},
    Transition{S::attaching, E::rejected, {S::waiting, A::drop_link, D::pause}},
    Transition{S::attaching, E::link_lost, {S::waiting, A::drop_link, D::pause}},
    Transition{S::attaching, E::leave, {S::leaving, A::leave, D::never}},

    Transition{S::proving, E::used, {S::attached, A::none, D::look}},
    Transition{S::proving, E::slot_free, {S::proving, A::offer, D::prove}},
    Transition{S::proving, E::deadline, {S::proving, A::offer, D::prove}},
    Transition{S::proving, E::link_lost, {S::waiting, A::cut_link, D::pause}},
    Transition{S::proving, E::rejected, {S::waiting, A::cut_link, D::pause}},
    Transition{S::proving, E::leave, {S::leaving, A::leave, D::never}},

    Transition{S::attached, E::deadline, {S::attached, A::look, D::look}},
    // The kernel released a socket while the link lives: the previous socket, reported late, or this socket.
    Transition{S::attached, E::slot_free, {S::proving, A::offer, D::prove}},
    Transition{S::attached, E::link_lost, {S::waiting, A::cut_link, D::pause}},
    Transition{S::attached, E::leave, {S::leaving, A::leave, D::never}},
};

struct Ignored {
    LinkState state;
    std::uint32_t events;  // bit mask
};

constexpr std::uint32_t bit(LinkEvent event) { return 1U << static_cast<unsigned>(event); }
constexpr std::uint32_t bits(std::initializer_list<LinkEvent> events) {
    std::uint32_t all = 0;
    for (const LinkEvent event : events) all |= bit(event);
    return all;
}

// Events that are late, or meaningless in the state.
inline constexpr std::array ignored{
    Ignored{S::waiting, bits({E::link_lost, E::slot_free, E::connected, E::agreed, E::failed, E::accepted,
                              E::rejected, E::used})},
    Ignored{S::connecting, bits({E::link_lost, E::slot_free, E::accepted, E::rejected, E::used})},
    Ignored{S::negotiating,
            bits({E::link_lost, E::slot_free, E::connected, E::accepted, E::rejected, E::used})},
    Ignored{S::attaching, bits({E::connected, E::agreed, E::failed, E::used})},
    Ignored{S::proving, bits({E::connected, E::agreed, E::failed, E::accepted})},
    Ignored{S::attached, bits({E::connected, E::agreed, E::failed, E::accepted, E::rejected, E::used})},
    Ignored{S::leaving, bits({E::deadline, E::link_lost, E::slot_free, E::connected, E::agreed, E::failed,
                              E::accepted, E::rejected, E::used, E::leave})},
};

using Table = std::array<std::array<LinkRule, link_events>, link_states>;

// Empty if a pair of state and event occurs twice, or not at all.
constexpr std::optional<Table> make_table() {
    Table table{};
    std::array<std::uint32_t, link_states> seen{};
    for (const Transition& one : transitions) {
        const auto state = static_cast<std::size_t>(one.state);
        if ((seen[state] & bit(one.event)) != 0) return std::nullopt;
        seen[state] |= bit(one.event);
        table[state][static_cast<std::size_t>(one.event)] = one.rule;
    }
    for (const Ignored& one : ignored) {
        const auto state = static_cast<std::size_t>(one.state);
        if ((seen[state] & one.events) != 0) return std::nullopt;
        seen[state] |= one.events;
        for (std::size_t event = 0; event < link_events; ++event)
            if ((one.events >> event & 1) != 0) table[state][event] = LinkRule{one.state};
    }
    for (const std::uint32_t events : seen)
        if (events != (1U << link_events) - 1) return std::nullopt;
    return table;
}

static_assert(make_table(), "a state and an event have two rules, or none");
inline constexpr Table table = *make_table();

}  // namespace link_table

[[nodiscard]] constexpr const LinkRule& link_rule(LinkState state, LinkEvent event) noexcept {
    return link_table::table[static_cast<std::size_t>(state)][static_cast<std::size_t>(event)];
}

}  // namespace holdfast::client
