// When the network under the root disk is remembered and restored: looks and times in, steps out.
#include "client/network/network_watch.hh"

#include <doctest/doctest.h>

using namespace holdfast;
using namespace holdfast::client;
using std::chrono::seconds;

namespace {

constexpr NetworkWatch::Time start{seconds{1000}};
constexpr NetworkLook whole{.card = true, .up = true, .address = true, .route = true, .by_card = true};
constexpr NetworkLook flushed{.card = true, .up = true, .bare = true};
// The default route leads through another card.
constexpr NetworkLook flushed_beside_another{.card = true, .up = true, .bare = true, .route = true};

NetworkWatch with_link() {
    NetworkWatch watch;
    watch.link_is(true, start);
    CHECK(watch.judge(whole, start) == NetworkStep::remember);
    CHECK(watch.deadline() == NetworkWatch::Time::max());
    return watch;
}

}  // namespace

TEST_CASE("a whole network is remembered only while the link is up") {
    NetworkWatch watch = with_link();
    watch.link_is(false, start);
    CHECK(watch.judge(whole, start) == NetworkStep::none);
    CHECK(watch.deadline() == NetworkWatch::Time::max());
}

TEST_CASE(
    "without any route to the server, the network is restored after some seconds, whether or not the link is "
    "known to be lost") {
    for (const bool link : {true, false}) {
        NetworkWatch watch = with_link();
        watch.link_is(link, start);
        CHECK(watch.judge(flushed, start) == NetworkStep::none);
        CHECK(watch.deadline() == start + NetworkWatch::patience);
        CHECK(watch.judge(flushed, start + seconds{2}) == NetworkStep::none);
        CHECK(watch.judge(flushed, start + NetworkWatch::patience) == NetworkStep::restore);
    }
}

TEST_CASE("a network that returns by itself is not restored, and the next loss counts anew") {
    NetworkWatch watch = with_link();
    CHECK(watch.judge(flushed, start) == NetworkStep::none);
    CHECK(watch.judge(whole, start + seconds{2}) == NetworkStep::remember);
    CHECK(watch.judge(flushed, start + seconds{4}) == NetworkStep::none);
    CHECK(watch.deadline() == start + seconds{4} + NetworkWatch::patience);
}

TEST_CASE("an attempt that did not help is repeated, with pauses") {
    NetworkWatch watch = with_link();
    (void)watch.judge(flushed, start);
    const auto first = start + NetworkWatch::patience;
    REQUIRE(watch.judge(flushed, first) == NetworkStep::restore);
    CHECK(watch.judge(flushed, first + seconds{1}) == NetworkStep::none);
    CHECK(watch.deadline() == first + NetworkWatch::pause);
    CHECK(watch.judge(flushed, first + NetworkWatch::pause) == NetworkStep::restore);
}

TEST_CASE(
    "while a route to the server remains, nothing is restored unless the link is lost and does not return") {
    NetworkWatch watch = with_link();
    CHECK(watch.judge(flushed_beside_another, start) == NetworkStep::none);
    CHECK(watch.judge(flushed_beside_another, start + seconds{100}) == NetworkStep::none);
    const auto lost = start + seconds{200};
    watch.link_is(false, lost);
    CHECK(watch.judge(flushed_beside_another, lost) == NetworkStep::none);
    CHECK(watch.deadline() == lost + NetworkWatch::patience_with_route);
    CHECK(watch.judge(flushed_beside_another, lost + NetworkWatch::patience_with_route) ==
          NetworkStep::restore);
}

TEST_CASE(
    "another address on the card, by which the server has a route, is the administrator's: never restored") {
    NetworkWatch watch = with_link();
    constexpr NetworkLook renumbered{.card = true, .up = true, .route = true};
    watch.link_is(false, start);
    CHECK(watch.judge(renumbered, start + seconds{1000}) == NetworkStep::none);
    CHECK(watch.deadline() == NetworkWatch::Time::max());
}

TEST_CASE("a server that is down while the network is whole is no reason to touch the network") {
    NetworkWatch watch = with_link();
    watch.link_is(false, start);
    CHECK(watch.judge(whole, start + seconds{1000}) == NetworkStep::none);
    CHECK(watch.deadline() == NetworkWatch::Time::max());
}

TEST_CASE("a card that is gone is waited for; the time counts from its return") {
    NetworkWatch watch = with_link();
    constexpr NetworkLook gone{.bare = true};
    CHECK(watch.judge(gone, start) == NetworkStep::none);
    CHECK(watch.deadline() == NetworkWatch::Time::max());
    constexpr NetworkLook returned{.card = true, .bare = true};
    const auto later = start + seconds{60};
    CHECK(watch.judge(returned, later) == NetworkStep::none);
    CHECK(watch.judge(returned, later + NetworkWatch::patience) == NetworkStep::restore);
}

TEST_CASE(
    "a card that was set down, or whose route was replaced by another, is restored once the link is lost") {
    constexpr NetworkLook down{.card = true, .address = true, .route = true};
    constexpr NetworkLook rerouted{.card = true, .up = true, .address = true, .route = true};
    for (const NetworkLook& look : {down, rerouted}) {
        NetworkWatch watch = with_link();
        CHECK(watch.judge(look, start + seconds{30}) == NetworkStep::none);
        watch.link_is(false, start + seconds{40});
        CHECK(watch.judge(look, start + seconds{49}) == NetworkStep::none);
        CHECK(watch.judge(look, start + seconds{50}) == NetworkStep::restore);
    }
}
