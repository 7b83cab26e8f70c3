// Stages of a stop: first clients may receive their last replies, then requests may complete on the disk,
// then threads may notice that their clients are gone. Pure: the caller passes the time and carries out the
// actions.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "common/linux/clock.hh"

namespace holdfast::server {

enum class StopState : std::uint8_t {
    serving,
    replying,   // no new request is started; clients may receive their last replies
    finishing,  // requests may complete on the disk
    cut_off,    // threads may notice that their clients are gone
};

enum class StopEvent : std::uint8_t {
    asked,        // by a signal
    opener_lost,  // without the opener no disk can be opened
    deadline,     // deadline() has passed
};

enum class StopAction : std::uint8_t {
    none,
    stop_connections,  // accept no clients, and start no new requests
    abandon_senders,   // a client that does not receive its reply must not keep the others from the next
                       // server
    abandon_all,
    leave_stuck,  // exit without the threads that are blocked in the disk
};

// Rule for the next deadline.
enum class StopDeadline : std::uint8_t {
    keep,
    reply,   // for clients to receive replies; not later than `finish`
    finish,  // stoptimeout after the beginning of the stop
    notice,  // for threads to notice a closed socket
};

struct StopRule {
    StopState next;
    StopAction action = StopAction::none;
    StopDeadline deadline = StopDeadline::keep;

    bool operator==(const StopRule&) const = default;
};

inline constexpr std::size_t stop_states = 4;
inline constexpr std::size_t stop_events = 3;

[[nodiscard]] constexpr StopRule stop_rule(StopState state, StopEvent event) noexcept {
    using S = StopState;
    using A = StopAction;
    using D = StopDeadline;
    constexpr std::array<std::array<StopRule, stop_events>, stop_states> table{{
        // asked, opener_lost, deadline
        {{{S::replying, A::stop_connections, D::reply},
          {S::replying, A::stop_connections, D::reply},
          {S::serving}}},
        {{{S::replying}, {S::replying}, {S::finishing, A::abandon_senders, D::finish}}},
        {{{S::finishing}, {S::finishing}, {S::cut_off, A::abandon_all, D::notice}}},
        {{{S::cut_off}, {S::cut_off}, {S::cut_off, A::leave_stuck}}},
    }};
    return table[static_cast<std::size_t>(state)][static_cast<std::size_t>(event)];
}

class StopMachine {
public:
    static constexpr std::chrono::seconds reply_patience{2};
    static constexpr std::chrono::seconds notice_patience{1};

    // Returns the action to take. `timeout` (stoptimeout) is valid only for the event that begins the stop.
    [[nodiscard]] StopAction on(StopEvent event, Clock::time_point now,
                                std::chrono::seconds timeout) noexcept {
        if (event == StopEvent::opener_lost) lost_opener_ = true;
        const StopRule rule = stop_rule(state_, event);
        if (rule.action == StopAction::stop_connections) finish_by_ = now + timeout;
        state_ = rule.next;
        switch (rule.deadline) {
            case StopDeadline::keep: break;
            case StopDeadline::reply: deadline_ = std::min(now + reply_patience, finish_by_); break;
            case StopDeadline::finish: deadline_ = finish_by_; break;
            case StopDeadline::notice: deadline_ = now + notice_patience; break;
        }
        return rule.action;
    }
    // The same for the event `deadline`, if the deadline has passed.
    [[nodiscard]] StopAction on_time(Clock::time_point now) noexcept {
        return now < deadline_ ? StopAction::none : on(StopEvent::deadline, now, {});
    }

    [[nodiscard]] StopState state() const noexcept { return state_; }
    [[nodiscard]] bool is_stopping() const noexcept { return state_ != StopState::serving; }
    // Whether the opener was lost, before or during the stop.
    [[nodiscard]] bool has_lost_opener() const noexcept { return lost_opener_; }
    // Time of the next stage; no_deadline while serving.
    [[nodiscard]] Deadline deadline() const noexcept { return deadline_; }

private:
    StopState state_ = StopState::serving;
    Deadline deadline_ = no_deadline;
    Deadline finish_by_{};  // valid only if is_stopping()
    bool lost_opener_ = false;
};

}  // namespace holdfast::server
