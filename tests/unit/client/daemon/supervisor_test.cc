// The table that decides when to reconnect, with a fake clock and a fake kernel.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <optional>
#include <random>

#include "client/daemon/supervisor.hh"

using namespace holdfast::client;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

using Time = Supervisor::Time;
const Time start{seconds{1000}};

constexpr std::array all_events{
    LinkEvent::deadline, LinkEvent::link_lost, LinkEvent::slot_free, LinkEvent::connected, LinkEvent::agreed,
    LinkEvent::failed,   LinkEvent::accepted,  LinkEvent::rejected,  LinkEvent::used,      LinkEvent::leave,
};

Supervisor attached_supervisor(std::uint32_t servers = 1) {
    Supervisor supervisor({}, servers, 0, 7, start);
    CHECK(supervisor.on(LinkEvent::used, start) == LinkAction::none);
    return supervisor;
}

// Its link has lasted, and was lost at the time that is given back.
Time lose(Supervisor& supervisor) {
    const Time now = start + seconds{60};
    CHECK(supervisor.on(LinkEvent::link_lost, now) == LinkAction::cut_link);
    return now;
}

// What the kernel has for the device: one slot, and the link that it was given last.
struct FakeKernel {
    bool slot_is_dead = false;
    bool has_our_link = true;   // the link that the supervisor believes in is the one in the slot
    bool link_is_alive = true;  // of what is in the slot
};

}  // namespace

TEST_CASE("a lost link is tried again at once, and the same server first") {
    Supervisor supervisor = attached_supervisor(3);
    const Time now = lose(supervisor);
    CHECK(supervisor.state() == LinkState::waiting);
    CHECK(supervisor.deadline() == now);
    CHECK(supervisor.on(LinkEvent::deadline, now) == LinkAction::try_server);
    CHECK(supervisor.server() == 0);
}

TEST_CASE("after a failure the next server is tried without a pause, and after all of them there is one") {
    Supervisor supervisor = attached_supervisor(3);
    Time now = lose(supervisor);
    for (const std::uint32_t expected : {0U, 1U, 2U}) {
        CHECK(supervisor.on(LinkEvent::deadline, now) == LinkAction::try_server);
        CHECK(supervisor.server() == expected);
        CHECK(supervisor.on(LinkEvent::failed, now) == LinkAction::drop_attempt);
        if (expected != 2) CHECK(supervisor.deadline() == now);
    }
    CHECK(supervisor.deadline() - now >= milliseconds{250});
    CHECK(supervisor.deadline() - now < milliseconds{1000});
    now = supervisor.deadline();
    CHECK(supervisor.on(LinkEvent::deadline, now) == LinkAction::try_server);
    CHECK(supervisor.server() == 0);
}

TEST_CASE("it never gives up, and never pauses for more than a second") {
    Supervisor supervisor = attached_supervisor();
    Time now = lose(supervisor);
    for (int attempt = 0; attempt < 10'000; ++attempt) {
        REQUIRE(supervisor.state() == LinkState::waiting);
        REQUIRE(supervisor.deadline() - now <= seconds{1});
        now = supervisor.deadline();
        REQUIRE(supervisor.on(LinkEvent::deadline, now) == LinkAction::try_server);
        REQUIRE(supervisor.on(LinkEvent::failed, now) == LinkAction::drop_attempt);
    }
}

TEST_CASE("a silent machine is tried anew about twice a second, not when TCP would") {
    Supervisor supervisor = attached_supervisor();
    Time now = lose(supervisor);
    int attempts = 0;
    for (const Time end = now + seconds{60}; now < end; now = supervisor.deadline())
        if (supervisor.on(LinkEvent::deadline, now) == LinkAction::try_server) ++attempts;
    CHECK(attempts > 70);
    CHECK(attempts < 180);
}

TEST_CASE("a new link waits until the kernel has let go of the old one, but not for ever") {
    Supervisor supervisor = attached_supervisor();
    Time now = lose(supervisor);
    (void)supervisor.on(LinkEvent::deadline, now);
    CHECK(supervisor.on(LinkEvent::connected, now) == LinkAction::none);
    CHECK(supervisor.on(LinkEvent::agreed, now) == LinkAction::none);
    CHECK(supervisor.state() == LinkState::attaching);
    CHECK(supervisor.deadline() == now + LinkTiming{}.let_go);
    SUBCASE("LINK_DEAD comes") { CHECK(supervisor.on(LinkEvent::slot_free, now) == LinkAction::offer); }
    SUBCASE("LINK_DEAD is lost") {
        CHECK(supervisor.on(LinkEvent::deadline, supervisor.deadline()) == LinkAction::offer);
    }
    CHECK(supervisor.on(LinkEvent::accepted, now) == LinkAction::none);
    CHECK(supervisor.state() == LinkState::proving);
}

TEST_CASE("a new link is offered at once where the kernel has let go before it was ready") {
    Supervisor supervisor = attached_supervisor();
    const Time now = lose(supervisor);
    CHECK(supervisor.on(LinkEvent::slot_free, now) == LinkAction::none);
    (void)supervisor.on(LinkEvent::deadline, now);
    (void)supervisor.on(LinkEvent::agreed, now);
    CHECK(supervisor.deadline() == now);
    CHECK(supervisor.on(LinkEvent::deadline, now) == LinkAction::offer);
}

TEST_CASE("a link that is not seen in use is offered again and again; one that is, is only looked at") {
    Supervisor supervisor({}, 1, 0, 7, start);
    Time now = start;
    for (int i = 0; i < 100; ++i) {
        now = supervisor.deadline();
        CHECK(supervisor.on(LinkEvent::deadline, now) == LinkAction::offer);
        CHECK(supervisor.on(LinkEvent::accepted, now) == LinkAction::none);
        CHECK(supervisor.deadline() - now <= seconds{1});
    }
    CHECK(supervisor.on(LinkEvent::used, now) == LinkAction::none);
    CHECK(supervisor.on(LinkEvent::deadline, supervisor.deadline()) == LinkAction::look);
}

TEST_CASE("a link that breaks at once counts as one more attempt that failed") {
    Supervisor supervisor = attached_supervisor();
    Time now = lose(supervisor);
    (void)supervisor.on(LinkEvent::deadline, now);
    (void)supervisor.on(LinkEvent::agreed, now);
    (void)supervisor.on(LinkEvent::slot_free, now);
    (void)supervisor.on(LinkEvent::accepted, now);
    CHECK(supervisor.on(LinkEvent::link_lost, now) == LinkAction::cut_link);
    CHECK(supervisor.deadline() >= now + milliseconds{250});
}

TEST_CASE("every event has a meaning in every state, and after leave nothing has") {
    for (int path = 0; path < 2000; ++path) {
        std::minstd_rand random(static_cast<unsigned>(path + 1));
        Supervisor supervisor({}, 2, 0, 7, start);
        Time now = start;
        for (int step = 0; step < 20; ++step) {
            now += milliseconds{random() % 3000};
            (void)supervisor.on(all_events[random() % (all_events.size() - 1)], now);
            CHECK(supervisor.state() != LinkState::leaving);
        }
        CHECK(supervisor.on(LinkEvent::leave, now) == LinkAction::leave);
        for (const LinkEvent event : all_events) CHECK(supervisor.on(event, now) == LinkAction::none);
        CHECK(supervisor.deadline() == Time::max());
    }
}

// The kernel loses LINK_DEAD, drops sockets in silence, lets go late; servers come and go. Whatever the
// order: an attempt is never begun while one is in flight, there is always a deadline and it is near, a link
// is cut before its successor is offered; and when all is well again, the kernel has our link within a few
// seconds.
TEST_CASE("a million random events break none of its promises") {
    std::minstd_rand random(20261124);
    const auto chance = [&random](unsigned percent) { return random() % 100 < percent; };
    std::uint64_t events = 0;
    unsigned well = 0;
    for (unsigned run = 0; events < 1'000'000; ++run) {
        const std::uint32_t servers = 1 + run % 4;
        Supervisor supervisor({}, servers, run % servers, run, start);
        FakeKernel kernel;
        Time now = start;
        bool server_works = true;
        bool attempt_in_flight = false;
        bool candidate = false;
        bool link_was_cut = false;
        bool pending_link_dead = false;
        Time well_since = start;
        const auto length = static_cast<unsigned>(500 + random() % 1000);

        const auto tell = [&](LinkEvent event) {
            std::optional<LinkEvent> next = event;
            for (int depth = 0; next; ++depth) {
                REQUIRE(depth < 10);
                const LinkAction action = supervisor.on(*next, now);
                next.reset();
                ++events;
                switch (action) {
                    case LinkAction::try_server:
                        REQUIRE(!attempt_in_flight);
                        REQUIRE(!candidate);
                        REQUIRE(supervisor.server() < servers);
                        attempt_in_flight = true;
                        if (!server_works && chance(60)) next = LinkEvent::failed;
                        break;
                    case LinkAction::drop_attempt:
                        REQUIRE(attempt_in_flight);
                        attempt_in_flight = false;
                        break;
                    case LinkAction::offer:
                        REQUIRE(!attempt_in_flight);
                        if (supervisor.state() == LinkState::attaching) {
                            REQUIRE(candidate);
                            REQUIRE(link_was_cut);
                        }
                        if (chance(2)) {
                            next = LinkEvent::rejected;
                            break;
                        }
                        // It takes a socket where it finds a dead one, and says that it did in any case.
                        if (kernel.slot_is_dead && !chance(5)) kernel = {false, true, server_works};
                        candidate = false;
                        next = LinkEvent::accepted;
                        break;
                    case LinkAction::cut_link:
                        link_was_cut = true;
                        kernel.has_our_link = false;
                        kernel.link_is_alive = false;
                        break;
                    case LinkAction::drop_link: candidate = false; break;
                    case LinkAction::none:
                    case LinkAction::look:
                    case LinkAction::leave: break;
                }
            }
            REQUIRE(supervisor.attempt_in_flight() == attempt_in_flight);
            REQUIRE(supervisor.deadline() != Time::max());
            REQUIRE(supervisor.deadline() - now <= LinkTiming{}.attempt);
            if (supervisor.state() == LinkState::waiting) REQUIRE(supervisor.deadline() - now <= seconds{1});
            REQUIRE(supervisor.state() != LinkState::leaving);
        };

        for (unsigned step = 0; step < length; ++step) {
            const bool quiet = step > length / 2;  // no more faults
            now = std::max(now, chance(70) ? supervisor.deadline() : now + milliseconds{random() % 400});
            if (quiet && !server_works) well_since = now;
            server_works = quiet || (chance(10) ? !server_works : server_works);
            // The kernel notices a dead link, and says so, most of the time.
            if (!kernel.link_is_alive && !kernel.slot_is_dead && chance(60)) {
                kernel.slot_is_dead = true;
                pending_link_dead = !chance(20);
            }
            if (!server_works) kernel.link_is_alive = false;
            if (supervisor.has_link() && !kernel.link_is_alive && kernel.has_our_link && chance(50))
                tell(LinkEvent::link_lost);
            if (pending_link_dead && chance(70)) {
                pending_link_dead = false;
                tell(LinkEvent::slot_free);
            }
            if (attempt_in_flight && server_works && chance(80)) {
                attempt_in_flight = false;
                candidate = true;
                tell(LinkEvent::agreed);
            } else if (attempt_in_flight && chance(20)) {
                tell(LinkEvent::connected);
            }
            if (supervisor.state() == LinkState::proving && kernel.has_our_link && kernel.link_is_alive &&
                !kernel.slot_is_dead && chance(50))
                tell(LinkEvent::used);
            // Events of another time, which must do no harm.
            if (!quiet && chance(5) && !attempt_in_flight && !candidate)
                tell(std::array{LinkEvent::connected, LinkEvent::failed, LinkEvent::slot_free}[random() % 3]);
            if (now >= supervisor.deadline()) tell(LinkEvent::deadline);
            // Well for half a minute, and every link has had its time to be lost, found and proved.
            if (quiet && step == length - 1 && now - well_since > seconds{30}) {
                CHECK(supervisor.has_link());
                CHECK(kernel.has_our_link);
                ++well;
            }
        }
    }
    CHECK(well > 100);
}
