// How much of a link that comes and goes is logged, with a clock of the test's own.

#include "client/daemon/log_limit.hh"

#include <doctest/doctest.h>

using namespace holdfast::client;
using namespace std::chrono_literals;

namespace {

constexpr LogLimit::Time start{1000s};

struct Hour {
    std::uint64_t written = 0;
    std::uint64_t summaries = 0;
    std::uint64_t left_out = 0;  // as the summaries say
};

// A server that drops each link: three lines a second.
Hour flap(LogLimit& limit, LogLimit::Time from, std::chrono::seconds duration) {
    Hour hour;
    for (auto at = from; at < from + duration; at += 1s) {
        for (int line = 0; line < 3; ++line) hour.written += limit.admit(at) ? 1 : 0;
        if (const auto summary = limit.due(at)) {
            ++hour.summaries;
            hour.left_out += summary->lines;
        }
    }
    return hour;
}

}  // namespace

TEST_CASE(
    "log limit: a server that flaps for an hour costs less than a hundred lines, and the first are whole") {
    LogLimit limit;
    for (int line = 0; line < 20; ++line) REQUIRE(limit.admit(start));
    const Hour first = flap(limit, start, 1h);
    CHECK(first.written + first.summaries <= 50);
    const Hour second = flap(limit, start + 1h, 1h);
    CHECK(second.written + second.summaries <= 25);
    SUBCASE("and every line is written or counted") {
        const auto rest = limit.due(start + 3h);
        REQUIRE(rest);
        CHECK(first.written + second.written + first.left_out + second.left_out + rest->lines ==
              2 * 3 * 3600);
    }
}

TEST_CASE("log limit: an outage now and then is logged whole") {
    LogLimit limit;
    for (int day = 0; day < 100; ++day) {
        for (int line = 0; line < 6; ++line) REQUIRE(limit.admit(start + day * 1h));
        CHECK_FALSE(limit.due(start + day * 1h));
    }
}

TEST_CASE("log limit: when it is quiet again, what was left out is told within a minute or so") {
    LogLimit limit;
    const Hour hour = flap(limit, start, 2h);
    CHECK(hour.summaries >= 2);
    CHECK_FALSE(limit.due(start + 2h + 30s));
    const auto summary = limit.due(start + 2h + 61s);
    REQUIRE(summary);
    CHECK(summary->lines > 0);
    CHECK_FALSE(limit.due(start + 5h));
}
