// How long a link has been silent, from what the kernel says of it, with a clock of the test's own.

#include "client/link/link_health.hh"

#include <doctest/doctest.h>

using namespace holdfast::client;
using namespace std::chrono_literals;

namespace {

constexpr SilenceWatch::Time start{1000s};

// A link whose first lost segment was sent `lost_for` ago, with a timeout of 200 ms, after `idle`.
LinkHealth lossy(std::chrono::milliseconds lost_for, std::chrono::milliseconds idle) {
    LinkHealth health;
    health.last_acknowledgement = idle + lost_for;
    health.retransmit_timeout = 200ms;
    for (std::chrono::milliseconds at = 200ms; at <= lost_for; at += health.retransmit_timeout) {
        ++health.retransmits;
        ++health.backoff;
        health.retransmit_timeout *= 2;
    }
    return health;
}

// When the silence has lasted for `limit`, looking every `pause` from `first` after the loss on.
std::chrono::milliseconds given_up_after(std::chrono::milliseconds idle, std::chrono::milliseconds first,
                                         std::chrono::milliseconds pause, std::chrono::milliseconds limit) {
    SilenceWatch watch;
    for (auto lost_for = first; lost_for < 10min; lost_for += pause)
        if (watch.see(lossy(lost_for, idle), start + lost_for) >= limit) return lost_for;
    return 10min;
}

}  // namespace

TEST_CASE("link health: the silence of an idle link does not count, only what was sent and not answered") {
    for (const auto idle : {0ms, 1000ms, 4000ms, 3'600'000ms}) {
        CAPTURE(idle.count());
        for (const auto first : {100ms, 700ms, 1000ms, 2900ms}) {
            CAPTURE(first.count());
            const auto took = given_up_after(idle, first, 1000ms, 2000ms);
            CHECK(took >= 2000ms);
            CHECK(took <= 4000ms);
            CHECK(given_up_after(idle, first, 1000ms, 14s) >= 14s);
            CHECK(given_up_after(idle, first, 1000ms, 14s) <= 16s);
        }
    }
}

TEST_CASE("link health: the silence is never overstated, whenever it is looked at") {
    for (auto lost_for = 0ms; lost_for < 30s; lost_for += 50ms) {
        SilenceWatch watch;
        REQUIRE(watch.see(lossy(lost_for, 1h), start) <= lost_for);
    }
}

TEST_CASE("link health: an answer, a new link, and a closed window that is answered set the silence back") {
    SilenceWatch watch;
    CHECK(watch.see(lossy(700ms, 1h), start) > 0ms);
    CHECK(watch.see(lossy(1700ms, 1h), start + 1s) >= 1s);
    SUBCASE("answer") {
        CHECK(watch.see(lossy(0ms, 0ms), start + 2s) == 0ms);
        CHECK(watch.see(lossy(700ms, 1h), start + 3s) <= 700ms);
    }
    SUBCASE("link") {
        watch.restart();
        CHECK(watch.see(lossy(700ms, 1h), start + 2s) <= 700ms);
    }
    SUBCASE("window") {
        LinkHealth probed;
        probed.probes = 1;
        probed.last_acknowledgement = 1min;
        CHECK(watch.see(probed, start + 2s) == 0ms);
    }
}

TEST_CASE("link health: probes of a closed window that get no answer are a silence") {
    SilenceWatch watch;
    LinkHealth probed;
    probed.probes = 3;
    probed.retransmit_timeout = 200ms;
    probed.backoff = 3;
    probed.last_acknowledgement = 5s;
    CHECK(watch.see(probed, start) == 400ms);
    probed.last_acknowledgement = 7s;
    CHECK(watch.see(probed, start + 2s) == 2400ms);
}
