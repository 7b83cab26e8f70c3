// The daemon's kernel: a driver of the test's own behind netlink, and a folder in place of /sys/block.
#include "client/daemon/linux_kernel.hh"

#include <doctest/doctest.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>

#include "tests/unit/client/kernel/fake_driver.hh"

using namespace holdfast;
using namespace holdfast::client;

namespace {

constexpr const char* identifier = "holdfast:89abcdef";

struct Bench {
    Bench() {
        REQUIRE(::mkdtemp(block.data()) != nullptr);
        std::filesystem::create_directories(block + "/nbd7/queue");
    }
    Bench(const Bench&) = delete;
    Bench& operator=(const Bench&) = delete;
    ~Bench() { std::filesystem::remove_all(block); }
    void put(const char* name, std::string_view text) const {
        std::ofstream(block + "/nbd7/" + name) << text << '\n';
    }
    LinuxKernel open() {
        auto sysfs = SysfsDevice::open(7, block.c_str());
        REQUIRE(sysfs);
        return {driver.open(), std::move(*sysfs), 7, identifier};
    }
    // Takes the next request, which must be for this device.
    FakeDriver::Request take() {
        auto request = driver.take();
        REQUIRE(request);
        CHECK(request->number(driver::index) == 7);
        return std::move(*request);
    }

    std::string block = "/tmp/holdfast-kernel-XXXXXX";
    FakeDriver driver;
};

}  // namespace

TEST_CASE("each change names the device and its identifier, and only what is to change") {
    Bench bench;
    LinuxKernel kernel = bench.open();
    DeviceChange change;
    SUBCASE("a link") { change.socket = 21; }
    SUBCASE("a size") { change.size = std::uint64_t{3} << 40; }
    bench.driver.answer(0);
    CHECK(kernel.reconfigure(change));
    const auto request = bench.take();
    CHECK(request.command == driver::reconfigure);
    CHECK(request.attributes.at(driver::identifier) == std::string(identifier) + '\0');
    CHECK(request.has(driver::size) == change.size.has_value());
    CHECK(request.has(driver::sockets) == change.socket.has_value());
    CHECK_FALSE(request.has(driver::dead_connection_timeout));
    if (change.socket) CHECK(request.socket() == 21);
    if (change.size) CHECK(request.number(driver::size) == *change.size);
}

TEST_CASE("an error of the kernel reaches the daemon with its number") {
    Bench bench;
    LinuxKernel kernel = bench.open();
    bench.driver.answer(EINVAL);
    CHECK(kernel.reconfigure({}).error().code == EINVAL);
    bench.driver.answer(ENODEV);
    CHECK(kernel.disconnect().error().code == ENODEV);
}

TEST_CASE("requests that wait for a link are woken by a socket before the device is disconnected") {
    Bench bench;
    LinuxKernel kernel = bench.open();
    bool kept = false;
    SUBCASE("the kernel has no dead slot for the socket") { bench.driver.answer(EINVAL); }
    SUBCASE("released") { bench.driver.answer(0); }
    SUBCASE("kept: the requests wait as before") {
        bench.driver.answer(0);
        kept = true;
    }
    bench.driver.answer(kept ? EBUSY : 0);
    if (kept) bench.driver.answer(0);
    CHECK(kernel.release_stuck().has_value() != kept);
    const auto woken = bench.take();
    CHECK(woken.command == driver::reconfigure);
    CHECK(woken.number(driver::dead_connection_timeout) == 1);
    CHECK(woken.socket() >= 0);
    CHECK(bench.take().command == driver::disconnect);
    if (kept) {
        const auto again = bench.take();
        CHECK(again.command == driver::reconfigure);
        CHECK(again.number(driver::dead_connection_timeout) ==
              static_cast<std::uint64_t>(practically_for_ever.count()));
        CHECK_FALSE(again.has(driver::sockets));
    }
    CHECK_FALSE(bench.driver.take());
}

TEST_CASE("events of other devices are none of the daemon's") {
    Bench bench;
    LinuxKernel kernel = bench.open();
    bench.driver.send_event(driver::link_dead, 8);
    CHECK(kernel.take_link_dead() == Netlink::LinkDead::no);
    bench.driver.send_event(driver::link_dead, 7);
    CHECK(kernel.take_link_dead() == Netlink::LinkDead::yes);
}

TEST_CASE("the device's attributes are read anew at each call") {
    Bench bench;
    LinuxKernel kernel = bench.open();
    CHECK_FALSE(kernel.has_our_device());
    CHECK(kernel.size() == 0);
    CHECK(kernel.largest_request() == 0);
    CHECK(kernel.in_flight() == 0);
    CHECK(kernel.totals().requests == 0);
    CHECK_FALSE(kernel.is_idle());
    bench.put("pid", "217");
    bench.put("backend", identifier);
    bench.put("size", "2048");
    bench.put("inflight", "       3        4");
    bench.put("queue/max_sectors_kb", "1280");
    // Reads, writes, discards, flushes: number, merged, sectors, milliseconds each; three columns on the
    // queue.
    bench.put("stat", "10 0 80 100 20 0 160 200 9 900 901 30 0 240 300 40 400");
    CHECK(kernel.has_our_device());
    CHECK(kernel.size() == 1 << 20);
    CHECK(kernel.in_flight() == 7);
    CHECK(kernel.largest_request() == 1280 * 1024);
    CHECK(kernel.writes() == 20);
    CHECK(kernel.totals().requests == 100);
    CHECK(kernel.totals().time == std::chrono::milliseconds{1000});
    bench.put("queue/iostats", "1");
    CHECK(kernel.counts_requests());
    CHECK_FALSE(kernel.is_idle());
    bench.put("inflight", "       0        0");
    CHECK(kernel.is_idle());
    // The kernel counts no request then.
    bench.put("queue/iostats", "0");
    CHECK_FALSE(kernel.counts_requests());
    CHECK_FALSE(kernel.is_idle());
    bench.put("backend", "holdfast:01234567");
    CHECK_FALSE(kernel.has_our_device());
}
