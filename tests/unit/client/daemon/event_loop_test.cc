// The daemon's event loop, on pipes and timers of the test's own.
#include "client/daemon/event_loop.hh"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/types.h>
#include <unistd.h>

#include <array>
#include <vector>

using namespace holdfast;
using namespace holdfast::client;

namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Restores the signal mask, which open() changes for the whole process.
struct Bench {
    Bench() {
        ::sigprocmask(SIG_SETMASK, nullptr, &before);
        REQUIRE(loop.open());
        std::array<int, 2> ends{};
        REQUIRE(::pipe(ends.data()) == 0);
        reading.reset(ends[0]);
        writing.reset(ends[1]);
    }
    ~Bench() { ::sigprocmask(SIG_SETMASK, &before, nullptr); }

    // Returns the tags of the next events.
    std::vector<std::uint64_t> tags() {
        std::vector<std::uint64_t> found;
        for (const epoll_event& event : loop.wait()) found.push_back(event.data.u64);
        return found;
    }

    sigset_t before{};
    EventLoop loop;
    Fd reading;
    Fd writing;
};

using Tags = std::vector<std::uint64_t>;

}  // namespace

TEST_CASE("the event loop reports a readable descriptor by its tag until the descriptor is forgotten") {
    Bench bench;
    REQUIRE(bench.loop.watch(bench.reading.get(), EPOLLIN, tag_probe));
    REQUIRE(::write(bench.writing.get(), "x", 1) == 1);
    CHECK(bench.tags() == Tags{tag_probe});
    // A second watch() of the same descriptor changes the tag.
    REQUIRE(bench.loop.watch(bench.reading.get(), EPOLLIN, tag_first_caller + 3));
    CHECK(bench.tags() == Tags{tag_first_caller + 3});
    bench.loop.forget(bench.reading.get());
    bench.loop.arm(steady_clock::now());
    CHECK(bench.tags() == Tags{tag_timer});
}

TEST_CASE("a deadline that has passed fires at once, also one from before the boot") {
    Bench bench;
    for (const auto deadline : {steady_clock::now() - milliseconds{5}, EventLoop::Time{}}) {
        bench.loop.arm(deadline);
        CHECK(bench.tags() == Tags{tag_timer});
        bench.loop.take_timer();
    }
}

TEST_CASE("a timer that was taken or disarmed fires no more") {
    Bench bench;
    REQUIRE(bench.loop.watch(bench.reading.get(), EPOLLIN, tag_probe));
    REQUIRE(::write(bench.writing.get(), "x", 1) == 1);
    bench.loop.arm(steady_clock::now());
    bench.loop.take_timer();
    CHECK(bench.tags() == Tags{tag_probe});
    bench.loop.arm(steady_clock::now());
    bench.loop.arm(EventLoop::Time::max());
    CHECK(bench.tags() == Tags{tag_probe});
    bench.loop.arm(steady_clock::now() + hours{1});
    CHECK(bench.tags() == Tags{tag_probe});
}

TEST_CASE("signals of others are an event, not the end of the daemon") {
    Bench bench;
    REQUIRE(::kill(::getpid(), SIGTERM) == 0);
    CHECK(bench.tags() == Tags{tag_signals});
    bench.loop.take_signals("nbd0");
    bench.loop.arm(steady_clock::now());
    CHECK(bench.tags() == Tags{tag_timer});
}
