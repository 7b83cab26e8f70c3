// Requests to the nbd driver, its answers and events, with a driver of the test's own.
#include "client/kernel/netlink.hh"

#include <doctest/doctest.h>
#include <errno.h>

#include <array>
#include <chrono>

#include "tests/unit/client/kernel/fake_driver.hh"

using namespace holdfast;
using namespace holdfast::client;

namespace {

DeviceConfiguration configuration() {
    DeviceConfiguration configuration;
    configuration.index = 3;
    configuration.size = std::uint64_t{5} << 32;
    configuration.block_size = 4096;
    configuration.server_flags = 0x105;
    configuration.request_timeout = std::chrono::seconds{30};
    configuration.identifier = "holdfast:1234";
    return configuration;
}

}  // namespace

TEST_CASE("a device is connected with all its parameters, and I/O waits practically for ever for a link") {
    FakeDriver kernel;
    Netlink netlink = kernel.open();
    kernel.answer(0, 3);
    const std::array sockets{17};
    const auto index = netlink.connect(configuration(), sockets);
    REQUIRE(index);
    CHECK(*index == 3);
    const auto request = kernel.take();
    REQUIRE(request);
    CHECK(request->command == driver::connect);
    CHECK(request->number(driver::index) == 3);
    CHECK(request->number(driver::size) == std::uint64_t{5} << 32);
    CHECK(request->number(driver::block_size) == 4096);
    CHECK(request->number(driver::server_flags) == 0x105);
    CHECK(request->number(driver::timeout) == 30);
    CHECK(request->number(driver::dead_connection_timeout) ==
          static_cast<std::uint64_t>(practically_for_ever.count()));
    CHECK(request->attributes.at(driver::identifier) == std::string("holdfast:1234", 14));
    CHECK(request->socket() == 17);
    CHECK_FALSE(kernel.take());
}

TEST_CASE("the kernel picks the device if none is named, and says which") {
    FakeDriver kernel;
    Netlink netlink = kernel.open();
    DeviceConfiguration any = configuration();
    any.index.reset();
    const std::array sockets{17};
    SUBCASE("it does") {
        kernel.answer(0, 11);
        const auto index = netlink.connect(any, sockets);
        REQUIRE(index);
        CHECK(*index == 11);
    }
    SUBCASE("it does not") {
        kernel.answer(0);
        CHECK(netlink.connect(any, sockets).error().code == EPROTO);
    }
    const auto request = kernel.take();
    REQUIRE(request);
    CHECK_FALSE(request->has(driver::index));
}

TEST_CASE("an error of the kernel is the result, and a late answer to an earlier request is not") {
    FakeDriver kernel;
    Netlink netlink = kernel.open();
    const std::array sockets{17};
    kernel.answer(EBUSY);
    CHECK(netlink.connect(configuration(), sockets).error().code == EBUSY);
    kernel.answer_late(EPERM);
    kernel.answer(0);
    CHECK(netlink.disconnect(3));
    kernel.answer(EINVAL);
    CHECK(netlink.disconnect(3).error().code == EINVAL);
}

TEST_CASE("a request that has no room for the identifier is not sent") {
    FakeDriver kernel;
    Netlink netlink = kernel.open();
    DeviceConfiguration large = configuration();
    large.identifier.assign(2000, 'x');
    const std::array sockets{17};
    CHECK(netlink.connect(large, sockets).error().code == EMSGSIZE);
    CHECK(netlink.reconfigure(3, large.identifier, {}).error().code == EMSGSIZE);
    CHECK_FALSE(kernel.take());
}

TEST_CASE("only LINK_DEAD of the device itself counts, and all waiting events are consumed") {
    FakeDriver kernel;
    Netlink netlink = kernel.open();
    using LinkDead = Netlink::LinkDead;
    CHECK(netlink.take_link_dead(3) == LinkDead::no);
    kernel.send_event(driver::link_dead, 4);
    kernel.send_event(driver::connect, 3);
    kernel.send_event(driver::link_dead, 3, driver::family + 1);
    CHECK(netlink.take_link_dead(3) == LinkDead::no);
    kernel.send_event(driver::link_dead, 4);
    kernel.send_event(driver::link_dead, 3);
    kernel.send_event(driver::link_dead, 4);
    CHECK(netlink.take_link_dead(3) == LinkDead::yes);
    CHECK(netlink.take_link_dead(3) == LinkDead::no);
}
