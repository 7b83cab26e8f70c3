#include <doctest/doctest.h>
#include <sys/socket.h>

#include <array>
#include <chrono>

#include "common/linux/fd.hh"
#include "server/busy_poll.hh"

using namespace holdfast;
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
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) == 0);
    const Fd client(ends[0]);
    const Fd here(ends[1]);
    PollSeats seats(1);
    BusyPoll poll(seats, 1'000'000us);  // long enough for a wait to be short on any machine
    for (int i = 0; i < PollHabit::enough_short_waits; ++i) {
        poll.before_wait(here.get());
        poll.after_wait();
    }
    // Something is there already: nothing is waited for.
    REQUIRE(::send(client.get(), "x", 1, 0) == 1);
    const auto began = std::chrono::steady_clock::now();
    poll.before_wait(here.get());
    CHECK(std::chrono::steady_clock::now() - began < 1s);
    poll.after_wait();
    char byte = 0;
    REQUIRE(::recv(here.get(), &byte, 1, 0) == 1);
    const auto silent = std::chrono::steady_clock::now();
    poll.before_wait(here.get());
    CHECK(std::chrono::steady_clock::now() - silent >= 1s);
    CHECK(seats.take());
}
