// Looks at a link that the kernel uses; kernel, link and clock are the test's own.
#include "client/daemon/link_watch.hh"

#include <doctest/doctest.h>

#include "tests/unit/client/daemon/fake_kernel.hh"
#include "tests/unit/socket_pair.hh"

using namespace holdfast;
using namespace holdfast::client;

TEST_CASE("requests that the kernel does not count may be in flight, but are no stall") {
    Events events;
    FakeKernel kernel{events};
    KeptDevice device = fake_device();
    device.live.largest_request = 2048 * 1024;
    LinkLog log{device};
    QueueLimits limits{kernel, device};
    LinkWatch watch{kernel, device, log, limits};
    const Pair pair = connected();
    watch.start(pair.ours.get());
    kernel.counts = false;
    for (int second = 0; second < 10; ++second, kernel.time += std::chrono::seconds{1})
        CHECK(watch.look(pair.ours.get(), kernel.time).next == busy_look);
    // A request as large as before may still be in flight.
    CHECK(device.live.largest_request == 2048 * 1024);
    CHECK(watch.stalled(kernel.time).count() == 0);

    kernel.counts = true;
    CHECK(watch.look(pair.ours.get(), kernel.time).next > busy_look);
    CHECK(device.live.largest_request == kernel.largest_request());
}
