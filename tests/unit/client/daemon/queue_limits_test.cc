// Limits of the request queue, with a kernel of the test's own and no process that sets them.
#include "client/daemon/queue_limits.hh"

#include <doctest/doctest.h>

#include "tests/unit/client/daemon/fake_kernel.hh"

using namespace holdfast;
using namespace holdfast::client;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

struct Bench {
    // Completes requests of this latency, and checks the timer.
    void complete(std::uint64_t requests, milliseconds latency, milliseconds stalled = milliseconds{0}) {
        kernel.completed.requests += requests;
        kernel.completed.time += latency * static_cast<std::int64_t>(requests);
        limits.check_timer(stalled, kernel.time);
    }

    Events events;
    FakeKernel kernel{events};
    KeptDevice device = fake_device();
    QueueLimits limits{kernel, device};
};

}  // namespace

TEST_CASE("the timer follows the latency of the requests since the last check") {
    Bench bench;
    bench.kernel.completed = {100, milliseconds{1000}};
    bench.limits.start();
    bench.complete(10, milliseconds{5});
    CHECK(bench.limits.timer() == shortest_request_timer);
    bench.complete(10, milliseconds{2000});
    CHECK(bench.limits.timer() == milliseconds{20'000});
    bench.complete(10, milliseconds{5});
    CHECK(bench.limits.timer() == shortest_request_timer);
}

TEST_CASE("requests that wait lengthen the timer, unless an outage has delayed them") {
    Bench bench;
    bench.kernel.completed = {100, milliseconds{1000}};
    bench.limits.start();
    bench.complete(0, milliseconds{0}, milliseconds{1999});
    CHECK(bench.limits.timer() == shortest_request_timer);
    bench.complete(0, milliseconds{0}, milliseconds{2500});
    CHECK(bench.limits.timer() == milliseconds{20'000});
    bench.device.live.reconnects = 1;
    bench.device.live.link_changed_at = since_boot(bench.kernel.time - seconds{10});
    bench.complete(0, milliseconds{0}, milliseconds{2500});
    CHECK(bench.limits.timer() == shortest_request_timer);
    bench.kernel.time += seconds{20};
    bench.complete(0, milliseconds{0}, milliseconds{2500});
    CHECK(bench.limits.timer() == milliseconds{20'000});
}

TEST_CASE("the largest request that may be in flight shrinks only while none is") {
    Bench bench;
    bench.limits.check_size(false);
    CHECK(bench.device.live.largest_request == 1280 * 1024);
    bench.kernel.max_sectors_kb = 64;
    bench.limits.check_size(false);
    CHECK(bench.device.live.largest_request == 1280 * 1024);
    bench.limits.check_size(true);
    CHECK(bench.device.live.largest_request == 64 * 1024);
    // An unreadable attribute changes nothing.
    bench.kernel.max_sectors_kb = 0;
    bench.limits.check_size(true);
    CHECK(bench.device.live.largest_request == 64 * 1024);
}
