#include <doctest/doctest.h>

#include <chrono>

#include "server/transport/busy_poll.hh"

using namespace holdfast::server;
using namespace std::chrono_literals;

namespace {

void many(PollHabit& habit, int times, PollHabit::Duration time) {
    for (int i = 0; i < times; ++i) habit.waited(time);
}

}  // namespace

TEST_CASE("busy poll: only a client that has been quick for a while is looked for") {
    PollHabit habit(100us);
    CHECK_FALSE(habit.polls());
    many(habit, PollHabit::enough_short_waits - 1, 100us);
    CHECK_FALSE(habit.polls());
    habit.waited(20us);
    CHECK(habit.polls());
    many(habit, 1000, 20us);
    CHECK(habit.polls());

    habit.waited(101us);
    CHECK_FALSE(habit.polls());
    many(habit, PollHabit::enough_short_waits - 1, 20us);
    CHECK_FALSE(habit.polls());
    habit.waited(20us);
    CHECK(habit.polls());

    habit.several();
    CHECK_FALSE(habit.polls());
}

TEST_CASE("busy poll: a limit of 0 turns it off") {
    PollHabit habit(0us);
    many(habit, 100, 0us);
    CHECK_FALSE(habit.polls());
}

TEST_CASE("busy poll: no more at a time than there are seats") {
    PollSeats seats(2);
    CHECK(seats.take());
    CHECK(seats.take());
    CHECK_FALSE(seats.take());
    seats.give_back();
    CHECK(seats.take());
    CHECK_FALSE(seats.take());
    CHECK_FALSE(PollSeats(0).take());
}

TEST_CASE("busy poll: it looks until the limit, and then leaves the waiting to others and its seat, too") {
    PollSeats seats(1);
    BusyPoll poll(seats, 1'000'000us);  // long enough for a wait to be short on any machine
    for (int i = 0; i < PollHabit::enough_short_waits; ++i) {
        poll.begin();
        CHECK_FALSE(poll.looks());
        poll.end();
    }
    // Something is there at the first look.
    poll.begin();
    CHECK(poll.looks());
    CHECK_FALSE(seats.take());
    poll.end();
    REQUIRE(seats.take());
    seats.give_back();

    const auto silent = std::chrono::steady_clock::now();
    poll.begin();
    while (poll.looks()) continue;
    CHECK(std::chrono::steady_clock::now() - silent >= 1s);
    CHECK(seats.take());
}
