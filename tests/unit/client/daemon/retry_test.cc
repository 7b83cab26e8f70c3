// The pauses between attempts.
#include <doctest/doctest.h>

#include <set>

#include "client/daemon/retry.hh"

using holdfast::Jitter;
using holdfast::client::pause_before;
using std::chrono::milliseconds;

TEST_CASE("a lost link is retried at once at every server, then slower") {
    Jitter jitter(1);
    for (std::uint64_t attempt = 0; attempt < 3; ++attempt)
        CHECK(pause_before(attempt, 3, jitter) == milliseconds{0});
    CHECK(pause_before(3, 3, jitter) >= milliseconds{250});
}

TEST_CASE("after half a minute the pauses become longer") {
    Jitter jitter(3);
    for (std::uint64_t attempt = 81; attempt < 1000; ++attempt)
        CHECK(pause_before(attempt, 1, jitter) >= milliseconds{500});
}

TEST_CASE("a pause is never longer than a second, however long the outage") {
    Jitter jitter(2);
    for (std::uint64_t attempt = 1; attempt < 10'000; ++attempt) {
        const auto pause = pause_before(attempt, 1, jitter);
        CHECK(pause >= milliseconds{250});
        CHECK(pause < milliseconds{1000});
    }
}

TEST_CASE("clients that lost their server in the same moment do not come back in the same moment") {
    std::set<std::int64_t> pauses;
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        Jitter jitter(seed * 0x9e3779b97f4a7c15);
        pauses.insert(pause_before(1, 1, jitter).count());
    }
    CHECK(pauses.size() > 50);
}

TEST_CASE("a generator seeded with nothing still gives different numbers") {
    Jitter jitter(0);
    CHECK(jitter.below(1'000'000) != jitter.below(1'000'000));
}
