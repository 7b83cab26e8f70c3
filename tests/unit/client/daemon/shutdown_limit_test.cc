// The time that a machine waits on its way down, with a clock of the test's own.

#include "client/daemon/shutdown_limit.hh"

#include <doctest/doctest.h>

using namespace holdfast::client;
using namespace std::chrono_literals;
using Step = ShutdownLimit::Step;
using enum DiskEvidence;

namespace {

constexpr ShutdownLimit::Time start{1000s};

// Looks once a second, and says after how many the device is given up; nothing within an hour: -1.
int given_up_after(ShutdownLimit& bound, ShutdownLimit::Time from) {
    for (int second = 0; second < 3600; ++second)
        if (bound.look(away, true, from + std::chrono::seconds{second}) == Step::give_up) return second;
    return -1;
}

}  // namespace

TEST_CASE("shutdown bound: a machine that does not go down waits for ever") {
    ShutdownLimit bound(90s);
    for (int hour = 0; hour < 1000; ++hour)
        REQUIRE(bound.look(away, false, start + std::chrono::hours{hour}) == Step::none);
}

TEST_CASE("shutdown bound: with the server there, however slow, nothing runs out") {
    ShutdownLimit bound(10s);
    for (int hour = 0; hour < 1000; ++hour)
        REQUIRE(bound.look(works, true, start + std::chrono::hours{hour}) == Step::none);
}

TEST_CASE("shutdown bound: the device is given up early enough for the rest of the shutdown") {
    ShutdownLimit bound(90s);
    CHECK(bound.patience() == 70s);
    CHECK(bound.grace() == 20s);
    CHECK(given_up_after(bound, start) == 70);
    SUBCASE("and only once") { CHECK(given_up_after(bound, start + 100s) == -1); }
}

TEST_CASE("shutdown bound: a short limit has a short rest") {
    ShutdownLimit bound(12s);
    CHECK(bound.grace() == 4s);
    CHECK(given_up_after(bound, start) == 8);
}

TEST_CASE(
    "shutdown bound: the time begins when the machine goes down and the link is down, and is told once") {
    ShutdownLimit bound(90s);
    CHECK(bound.look(away, false, start) == Step::none);
    CHECK(bound.look(away, true, start + 1000s) == Step::began);
    CHECK(bound.look(away, true, start + 1001s) == Step::none);
    CHECK(bound.look(away, true, start + 1069s) == Step::none);
    CHECK(bound.look(away, true, start + 1070s) == Step::give_up);
}

TEST_CASE("shutdown bound: a server that comes back sets the time back") {
    ShutdownLimit bound(90s);
    CHECK(bound.look(away, true, start) == Step::began);
    CHECK(bound.look(works, true, start + 69s) == Step::none);
    CHECK(bound.look(away, true, start + 71s) == Step::began);
    CHECK(bound.look(away, true, start + 140s) == Step::none);
    CHECK(bound.look(away, true, start + 141s) == Step::give_up);
}

TEST_CASE("shutdown bound: a shutdown that was none after all sets the time back") {
    ShutdownLimit bound(90s);
    CHECK(bound.look(away, true, start) == Step::began);
    CHECK(bound.look(away, false, start + 69s) == Step::none);
    CHECK(bound.look(away, true, start + 200s) == Step::began);
}

TEST_CASE("shutdown bound: without evidence nothing is given up, however long the shutdown takes") {
    ShutdownLimit bound(90s);
    for (int second = 0; second < 3600; ++second)
        REQUIRE(bound.look(unknown, true, start + std::chrono::seconds{second}) == Step::none);
}

TEST_CASE("shutdown bound: the time runs from the beginning of the proof that got no answer") {
    ShutdownLimit bound(90s);
    CHECK(bound.look(unknown, true, start) == Step::none);
    CHECK(bound.look(away, true, start + 3s) == Step::began);
    CHECK(bound.look(unknown, true, start + 71s) == Step::none);
    CHECK(bound.look(away, true, start + 72s) == Step::give_up);
}

TEST_CASE("shutdown bound: an answer at the last moment sets the time back") {
    ShutdownLimit bound(90s);
    CHECK(bound.look(away, true, start) == Step::began);
    CHECK(bound.look(unknown, true, start + 70s) == Step::none);
    CHECK(bound.look(works, true, start + 71s) == Step::none);
    CHECK(bound.look(away, true, start + 72s) == Step::began);
    CHECK(given_up_after(bound, start + 72s) == 70);
}

TEST_CASE("shutdown bound: 0 waits for the server, however long it takes") {
    ShutdownLimit bound(0s);
    CHECK(given_up_after(bound, start) == -1);
}
