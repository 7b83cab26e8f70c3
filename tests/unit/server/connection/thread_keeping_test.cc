// The time for which an idle connection keeps its thread.
#include "server/connection/thread_keeping.hh"

#include <doctest/doctest.h>

using holdfast::server::ThreadKeeping;
using std::chrono::seconds;

TEST_CASE("a client that asks soon after its thread ended has it longer each time, up to a limit") {
    ThreadKeeping keeping;
    holdfast::Clock::time_point now{};
    CHECK(keeping.wait() == seconds(0));
    for (const int wait : {1, 2, 4, 8, 8}) {
        keeping.ended(now += seconds(1));
        keeping.made_again(now += seconds(7));
        CHECK(keeping.wait() == seconds(wait));
    }
    keeping.ended(now);
    keeping.made_again(now + ThreadKeeping::longest);
    CHECK(keeping.wait() == seconds(0));
}
