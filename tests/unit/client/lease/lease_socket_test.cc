// Two daemons with leases on one interface: which socket the answers reach. In a network of the test's own.
#include "client/lease/lease_socket.hh"

#include <arpa/inet.h>
#include <cap-ng.h>
#include <doctest/doctest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <array>
#include <string>

#include "tests/unit/own_network.hh"

using namespace holdfast;
using namespace holdfast::client;

namespace {

sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = ::htons(port);
    address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    return address;
}

LeaseRecord some_record() {
    LeaseRecord record;
    record.interface = "lo";
    record.address = INADDR_LOOPBACK;
    return record;
}

std::string interface_of(const LeaseSocket& keeper) {
    std::array<char, IFNAMSIZ> name{};
    socklen_t length = name.size();
    REQUIRE(::getsockopt(keeper.descriptor(), SOL_SOCKET, SO_BINDTODEVICE, name.data(), &length) == 0);
    return name.data();
}

// As a server's answer comes.
void answer() {
    const Fd server(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const sockaddr_in from = loopback(67);
    const sockaddr_in to = loopback(68);
    REQUIRE(::bind(server.get(), reinterpret_cast<const sockaddr*>(&from), sizeof from) == 0);
    REQUIRE(::sendto(server.get(), "x", 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 1);
}

bool has_answer(const LeaseSocket& keeper, int patience) {
    pollfd entry{keeper.descriptor(), POLLIN, 0};
    return ::poll(&entry, 1, patience) == 1;
}

void take_turns() {
    LeaseState state;
    state.seconds = 3600;
    const Lease::Time now = Lease::Time{} + std::chrono::seconds{1};
    LeaseSocket first(some_record(), "/run/holdfast");
    LeaseSocket second(some_record(), "/run/holdfast");
    REQUIRE(first.descriptor() >= 0);
    REQUIRE(second.descriptor() >= 0);
    LeaseSocket* const keepers[] = {&first, &second};
    // Each has to leave the answers to the other: among equals the kernel picks by the order of the sockets.
    for (LeaseSocket* const leaving : keepers) {
        LeaseSocket& taking = leaving == &first ? second : first;
        leaving->start(state, 1, now);
        REQUIRE(leaving->has_turn());
        CHECK(interface_of(*leaving) == "lo");
        leaving->release_turn();
        CHECK_FALSE(leaving->has_turn());
        CHECK(interface_of(*leaving).empty());
        taking.start(state, 1, now);
        CHECK(interface_of(taking) == "lo");
        answer();
        CHECK(has_answer(taking, 5000));
        CHECK_FALSE(has_answer(*leaving, 0));
        taking.drain();
        taking.release_turn();
    }
    // In charge again, after a takeover that has failed.
    first.start(state, 1, now);
    CHECK(interface_of(first) == "lo");
    answer();
    CHECK(has_answer(first, 5000));
}

// As the daemon runs: without CAP_NET_RAW, which a bound socket would need for another interface.
void move() {
    if (::system("ip link add card0 type veth peer name card1 2>/dev/null") != 0) {
        MESSAGE("skipped: no interface can be made here");
        return;
    }
    LeaseSocket socket(some_record(), "/run/holdfast");
    LeaseState state;
    state.seconds = 3600;
    socket.start(state, 1, Lease::Time{} + std::chrono::seconds{1});
    REQUIRE(socket.has_turn());
    REQUIRE(::capng_get_caps_process() == 0);
    REQUIRE(::capng_update(CAPNG_DROP, CAPNG_EFFECTIVE, CAP_NET_RAW) == 0);
    REQUIRE(::capng_apply(CAPNG_SELECT_CAPS) == 0);
    for (const char* const name : {"card0", "card1", "lo"}) {
        socket.move_to(name, Lease::Time{} + std::chrono::seconds{2});
        CHECK(interface_of(socket) == name);
        CHECK(socket.interface() == name);
    }
    answer();
    CHECK(has_answer(socket, 5000));
    socket.release_turn();
    socket.move_to("card0", Lease::Time{} + std::chrono::seconds{3});
    CHECK(interface_of(socket).empty());
}

}  // namespace

TEST_CASE("the socket of a lease follows its address to another interface, if it has the turn") {
    in_own_network(move);
}

TEST_CASE("the daemon that releases its turn takes no answer from the one that renews the lease instead") {
    in_own_network(take_turns);
}
