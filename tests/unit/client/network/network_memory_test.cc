// The memory of a network against a real kernel: interfaces, addresses and routes in a network of the test's
// own. Without iproute2 or the right to make interfaces, the test is skipped.
#include "client/network/network_memory.hh"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <string>

#include "tests/unit/own_network.hh"

using namespace holdfast;
using namespace holdfast::client;

namespace {

bool ip(const std::string& words) { return ::system(("ip " + words + " >/dev/null 2>&1").c_str()) == 0; }

bool shows(const std::string& words, const std::string& text) {
    return ::system(("ip " + words + " 2>/dev/null | grep -qF -- '" + text + "'").c_str()) == 0;
}

IpAddress address_of(const char* text) {
    IpAddress address;
    address.family = std::strchr(text, ':') != nullptr ? AF_INET6 : AF_INET;
    REQUIRE(::inet_pton(address.family, text, address.bytes.data()) == 1);
    return address;
}

const char* const own = "10.99.0.2";
const char* const server = "10.98.0.1";

// With its peer up, so that the card has a carrier.
bool make_card(const std::string& name, const std::string& hardware) {
    return ip("link add " + name + " address " + hardware + " type veth peer name peer-" + name) &&
           ip("link set peer-" + name + " up");
}

// A card with an address, a gateway, and a second address.
bool configure() {
    return make_card("card0", "52:54:00:77:00:09") && ip("link set card0 up mtu 1400") &&
           ip("address add 10.99.0.2/24 broadcast + dev card0") &&
           ip("address add fd99::2/64 dev card0 nodad") && ip("route add default via 10.99.0.1 dev card0") &&
           ip("route add 10.97.0.0/16 via 10.99.0.7 dev card0 metric 7 mtu 1300");
}

bool is_whole(const std::string& card) {
    return shows("address show " + card, "inet 10.99.0.2/24 brd 10.99.0.255") &&
           shows("address show " + card, "fd99::2/64") &&
           shows("route", "default via 10.99.0.1 dev " + card) &&
           shows("route", "10.97.0.0/16 via 10.99.0.7 dev " + card + " metric 7 mtu 1300") &&
           shows("link show " + card, "mtu 1400") && shows("link show " + card, ",UP");
}

template <class Test>
void with_card(Test test) {
    in_own_network([&] {
        if (!configure()) {
            MESSAGE("skipped: no interface can be made here");
            return;
        }
        auto netlink = Rtnetlink::open();
        REQUIRE(netlink);
        NetworkMemory memory(std::move(*netlink), -1);
        const NetworkLook look = memory.look(address_of(own), address_of(server), 0);
        CHECK(look == NetworkLook{.up = true, .address = true, .route = true, .by_card = true});
        memory.remember();
        CHECK(memory.look(address_of(own), address_of(server), 0).card);
        test(memory);
    });
}

InterfaceFacts facts(std::uint32_t index, const char* name, const char* hardware, const char* kind = "",
                     std::uint32_t master = 0) {
    InterfaceFacts result;
    result.index = index;
    result.name = name;
    result.hardware = hardware;
    result.kind = kind;
    result.master = master;
    return result;
}

}  // namespace

TEST_CASE("a flushed and lowered card gets its link, addresses and routes back, with all their attributes") {
    with_card([](NetworkMemory& memory) {
        REQUIRE(is_whole("card0"));
        REQUIRE(ip("address flush dev card0"));
        REQUIRE(ip("link set card0 down"));
        const NetworkLook look = memory.look(address_of(own), address_of(server), 0);
        CHECK(look == NetworkLook{.card = true, .bare = true});
        const auto done = memory.restore();
        CHECK(done.interface == "card0");
        CHECK(done.raised);
        CHECK(done.addresses >= 2);  // a link-local address, too, if the kernel had finished it
        CHECK(done.error.code == 0);
        CHECK(is_whole("card0"));
    });
}

TEST_CASE(
    "a card created anew under another name gets everything; one with another hardware address does not") {
    with_card([](NetworkMemory& memory) {
        REQUIRE(ip("link delete card0"));
        CHECK_FALSE(memory.look(address_of(own), address_of(server), 0).card);
        REQUIRE(make_card("other", "52:54:00:77:00:0a"));
        CHECK_FALSE(memory.look(address_of(own), address_of(server), 0).card);
        REQUIRE(make_card("card1", "52:54:00:77:00:09"));
        CHECK(memory.look(address_of(own), address_of(server), 0).card);
        CHECK(memory.restore().error.code == 0);
        CHECK(is_whole("card1"));
    });
}

TEST_CASE("an address that moves to a bridge of the card is followed, and restored there") {
    with_card([](NetworkMemory& memory) {
        if (!ip("link add br0 type bridge")) {
            MESSAGE("skipped: no bridge can be made here");
            return;
        }
        REQUIRE(ip("link set card0 master br0"));
        REQUIRE(ip("address flush dev card0"));
        // In the middle of the change, the bridge is the place of the card.
        CHECK(memory.look(address_of(own), address_of(server), 0).card);
        REQUIRE(ip("address add 10.99.0.2/24 dev br0"));
        REQUIRE(ip("link set br0 up"));
        REQUIRE(ip("route add default via 10.99.0.1"));
        CHECK(memory.look(address_of(own), address_of(server), 0).by_card);
        CHECK(memory.interface_with(address_of(own)).name == "br0");
        memory.remember();
        REQUIRE(ip("address flush dev br0"));
        (void)memory.look(address_of(own), address_of(server), 0);
        CHECK(memory.restore().interface == "br0");
        CHECK(shows("route", "default via 10.99.0.1 dev br0"));
    });
}

TEST_CASE("an address that was left on a port moves to the bridge, which gets the packets") {
    with_card([](NetworkMemory& memory) {
        // With another hardware address than its port, as ifupdown makes it, and not up yet.
        if (!ip("link add br0 address 52:54:00:77:00:0b type bridge")) {
            MESSAGE("skipped: no bridge can be made here");
            return;
        }
        REQUIRE(ip("link set card0 master br0"));
        const NetworkLook look = memory.look(address_of(own), address_of(server), 0);
        CHECK(look == NetworkLook{.card = true, .address = true, .bare = true, .route = true});
        const auto done = memory.restore();
        CHECK(done.interface == "br0");
        CHECK(done.raised);
        CHECK(done.removed >= 2);
        CHECK(done.error.code == 0);
        CHECK_FALSE(shows("address show card0", "inet"));
        CHECK(shows("address show br0", "inet 10.99.0.2/24 brd 10.99.0.255"));
        CHECK(shows("address show br0", "fd99::2/64"));
        CHECK(shows("route", "default via 10.99.0.1 dev br0"));
        CHECK(shows("route", "10.97.0.0/16 via 10.99.0.7 dev br0 metric 7 mtu 1300"));
        CHECK(memory.look(address_of(own), address_of(server), 0).by_card);
    });
}

TEST_CASE("the address of a flushed port comes back on the bridge, also if both have it by now") {
    with_card([](NetworkMemory& memory) {
        if (!ip("link add br0 address 52:54:00:77:00:0b type bridge")) {
            MESSAGE("skipped: no bridge can be made here");
            return;
        }
        REQUIRE(ip("link set br0 up"));
        REQUIRE(ip("link set card0 master br0"));
        REQUIRE(ip("address add 10.99.0.2/24 dev br0"));  // as DHCP on the bridge may give it
        CHECK_FALSE(memory.look(address_of(own), address_of(server), 0).by_card);
        CHECK(memory.restore().removed >= 2);
        CHECK_FALSE(shows("address show card0", "inet"));
        CHECK(shows("route", "default via 10.99.0.1 dev br0"));
        REQUIRE(ip("address flush dev br0"));
        CHECK(memory.look(address_of(own), address_of(server), 0).card);
        CHECK(memory.restore().interface == "br0");
        CHECK(shows("address show br0", "inet 10.99.0.2/24 brd 10.99.0.255"));
    });
}

TEST_CASE(
    "a bridge that is taken apart gives its addresses to its first port, whatever its hardware address") {
    with_card([](NetworkMemory& memory) {
        if (!ip("link add br0 address 52:54:00:77:00:0b type bridge")) {
            MESSAGE("skipped: no bridge can be made here");
            return;
        }
        REQUIRE(make_card("later", "52:54:00:77:00:0c"));
        REQUIRE(ip("link set br0 up"));
        REQUIRE(ip("link set card0 master br0"));
        REQUIRE(ip("link set later master br0"));
        (void)memory.look(address_of(own), address_of(server), 0);
        (void)memory.restore();
        (void)memory.look(address_of(own), address_of(server), 0);
        memory.remember();
        SUBCASE("while it has another port, it keeps them") {
            REQUIRE(ip("link set card0 nomaster"));
            CHECK(memory.look(address_of(own), address_of(server), 0).by_card);
        }
        SUBCASE("without ports") {
            REQUIRE(ip("link set later nomaster"));
            REQUIRE(ip("link set card0 nomaster down"));
            CHECK_FALSE(memory.look(address_of(own), address_of(server), 0).by_card);
            CHECK(memory.restore().error.code == 0);
            CHECK(is_whole("card0"));
            CHECK_FALSE(shows("address show br0", "inet"));
        }
        SUBCASE("deleted") {
            REQUIRE(ip("link delete br0"));
            CHECK(memory.look(address_of(own), address_of(server), 0).card);
            CHECK(memory.restore().error.code == 0);
            CHECK(is_whole("card0"));
        }
    });
}

TEST_CASE("a route that somebody else has put in the place of a lost one stays") {
    with_card([](NetworkMemory& memory) {
        REQUIRE(ip("route del default"));
        REQUIRE(ip("route add default via 10.99.0.5 dev card0"));
        (void)memory.look(address_of(own), address_of(server), 0);
        const auto done = memory.restore();
        CHECK_FALSE(done.anything());
        CHECK(done.error.code == 0);
        CHECK(shows("route", "default via 10.99.0.5"));
        CHECK_FALSE(shows("route", "default via 10.99.0.1"));
    });
}

TEST_CASE(
    "the same card is the fittest, then its namesake with its hardware address, then hardware in its place") {
    const InterfaceFacts lost = facts(2, "eth0", "abcdef");
    const int same = fitness(lost, facts(2, "eth0", "abcdef"), false);
    const int namesake = fitness(lost, facts(3, "eth0", "abcdef"), false);
    const int renamed = fitness(lost, facts(3, "eth1", "abcdef"), false);
    const int place = fitness(lost, facts(3, "eth1", "ghijkl"), true);
    const int bridge = fitness(lost, facts(4, "br0", "abcdef", "bridge"), false);
    CHECK(same > namesake);
    CHECK(namesake > renamed);
    CHECK(renamed > place);
    CHECK(place > bridge);
    CHECK(bridge > 0);
}

TEST_CASE("ports, tagged interfaces and strangers are unfit") {
    const InterfaceFacts lost = facts(2, "eth0", "abcdef");
    CHECK(fitness(lost, facts(2, "eth0", "abcdef", "", 4), false) == 0);
    CHECK(fitness(lost, facts(5, "eth0.5", "abcdef", "vlan"), false) == 0);
    CHECK(fitness(lost, facts(3, "eth1", "ghijkl"), false) == 0);
    CHECK(fitness(facts(5, "eth0.5", "abcdef", "vlan"), lost, true) == 0);
    CHECK(fitness(facts(4, "br0", "abcdef", "bridge"), lost, false) > 0);
}

TEST_CASE("a message of the kernel with a length beyond its end is not read further") {
    struct {
        nlmsghdr head;
        ifaddrmsg body;
        rtattr attribute;
        std::array<std::uint8_t, 4> value;
    } message{};
    message.head.nlmsg_len = sizeof message;
    message.head.nlmsg_type = RTM_NEWADDR;
    message.body.ifa_family = AF_INET;
    message.body.ifa_index = 7;
    message.attribute = {8, IFA_LOCAL};
    message.value = {10, 0, 0, 1};
    CHECK(text_of(read_address(message.head)->address) == "10.0.0.1");
    message.attribute.rta_len = 9;
    CHECK(read_address(message.head)->address.family == 0);
    message.attribute.rta_len = 0;
    CHECK(read_address(message.head)->address.family == 0);
    message.head.nlmsg_len = sizeof message.head + 3;
    CHECK_FALSE(read_address(message.head));
    CHECK_FALSE(read_route(message.head));
}
