// Timeouts of poll(2) from deadlines.
#include <doctest/doctest.h>

#include "common/linux/clock.hh"

using namespace holdfast;

TEST_CASE("a timeout is rounded up, at most a minute, and infinite only without a deadline") {
    using namespace std::chrono_literals;
    const Clock::time_point now = Clock::time_point(1h);
    CHECK(poll_timeout(no_deadline, now) == -1);
    CHECK(poll_timeout(Deadline::min(), now) == 0);
    CHECK(poll_timeout(now - 1ms, now) == 0);
    CHECK(poll_timeout(now, now) == 0);
    CHECK(poll_timeout(now + 1ns, now) == 1);
    CHECK(poll_timeout(now + 1500us, now) == 2);
    CHECK(poll_timeout(now + 1min, now) == 60'000);
    CHECK(poll_timeout(now + 2h, now) == 60'000);
}
