// Stages of a stop: every state and event, and the times of a whole stop.
#include <doctest/doctest.h>

#include <array>

#include "server/stop_machine.hh"

using namespace holdfast::server;
using namespace std::chrono_literals;

namespace {

using S = StopState;
using E = StopEvent;
using A = StopAction;
using D = StopDeadline;

constexpr holdfast::Clock::time_point start(1h);

// A machine in the state, as the events of a stop with a timeout of 30 seconds lead there.
StopMachine machine_in(S state) {
    StopMachine machine;
    const std::array events{E::asked, E::deadline, E::deadline};
    for (std::size_t i = 0; machine.state() != state; ++i) (void)machine.on(events.at(i), start, 30s);
    return machine;
}

}  // namespace

TEST_CASE("every state of a stop has a rule for every event") {
    struct Row {
        S state;
        E event;
        StopRule rule;
    };
    const Row rows[] = {
        {S::serving, E::asked, {S::replying, A::stop_connections, D::reply}},
        {S::serving, E::opener_lost, {S::replying, A::stop_connections, D::reply}},
        {S::serving, E::deadline, {S::serving, A::none, D::keep}},
        {S::replying, E::asked, {S::replying, A::none, D::keep}},
        {S::replying, E::opener_lost, {S::replying, A::none, D::keep}},
        {S::replying, E::deadline, {S::finishing, A::abandon_senders, D::finish}},
        {S::finishing, E::asked, {S::finishing, A::none, D::keep}},
        {S::finishing, E::opener_lost, {S::finishing, A::none, D::keep}},
        {S::finishing, E::deadline, {S::cut_off, A::abandon_all, D::notice}},
        {S::cut_off, E::asked, {S::cut_off, A::none, D::keep}},
        {S::cut_off, E::opener_lost, {S::cut_off, A::none, D::keep}},
        {S::cut_off, E::deadline, {S::cut_off, A::leave_stuck, D::keep}},
    };
    static_assert(std::size(rows) == stop_states * stop_events);
    for (const Row& row : rows) {
        CAPTURE(static_cast<int>(row.state));
        CAPTURE(static_cast<int>(row.event));
        CHECK(stop_rule(row.state, row.event) == row.rule);
        StopMachine machine = machine_in(row.state);
        const bool lost = machine.has_lost_opener() || row.event == E::opener_lost;
        CHECK(machine.on(row.event, start, 30s) == row.rule.action);
        CHECK(machine.state() == row.rule.next);
        CHECK(machine.is_stopping() == (row.rule.next != S::serving));
        CHECK(machine.has_lost_opener() == lost);
    }
}

TEST_CASE("a server that serves has no deadline") {
    StopMachine machine;
    CHECK(machine.deadline() == holdfast::no_deadline);
    CHECK(machine.on_time(start + 1000h) == A::none);
    CHECK_FALSE(machine.is_stopping());
}

TEST_CASE("a stop gives replies two seconds, the disk its timeout, and threads another second") {
    StopMachine machine;
    CHECK(machine.on(E::asked, start, 30s) == A::stop_connections);
    CHECK(machine.deadline() == start + 2s);
    CHECK(machine.on_time(start + 2s - 1ns) == A::none);
    CHECK(machine.on_time(start + 2s) == A::abandon_senders);
    CHECK(machine.deadline() == start + 30s);
    CHECK(machine.on_time(start + 30s - 1ns) == A::none);
    CHECK(machine.on_time(start + 30s) == A::abandon_all);
    CHECK(machine.deadline() == start + 31s);
    CHECK(machine.on_time(start + 31s) == A::leave_stuck);
    CHECK(machine.on_time(start + 32s) == A::leave_stuck);
}

TEST_CASE("a short timeout also limits the time for replies") {
    StopMachine machine;
    CHECK(machine.on(E::asked, start, 1s) == A::stop_connections);
    CHECK(machine.deadline() == start + 1s);
    CHECK(machine.on_time(start + 1s) == A::abandon_senders);
    CHECK(machine.on_time(start + 1s) == A::abandon_all);
}

TEST_CASE("a stop that is asked for again goes on as before") {
    StopMachine machine;
    CHECK(machine.on(E::asked, start, 30s) == A::stop_connections);
    CHECK(machine.on(E::opener_lost, start + 1s, 60s) == A::none);
    CHECK(machine.has_lost_opener());
    CHECK(machine.deadline() == start + 2s);
    CHECK(machine.on_time(start + 2s) == A::abandon_senders);
    CHECK(machine.deadline() == start + 30s);
}
