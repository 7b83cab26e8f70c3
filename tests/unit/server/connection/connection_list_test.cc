// Limits of connections, and their removal.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <utility>
#include <vector>

#include "server/connection/connection_list.hh"
#include "tests/unit/socket_pair.hh"

using namespace holdfast;
using namespace holdfast::server;

namespace {

sockaddr_storage address_of(const char* text) {
    sockaddr_storage storage{};
    auto& address = reinterpret_cast<sockaddr_in&>(storage);
    address.sin_family = AF_INET;
    REQUIRE(::inet_pton(AF_INET, text, &address.sin_addr) == 1);
    return storage;
}

struct Bench {
    Bench() {
        config->exports.emplace_back();
        config->exports[0].name = "root";
        config->exports[0].path = "/holdfast-no-such-disk";
        config->maxperaddress = 2;
        REQUIRE(epoll.open());
        REQUIRE(list.open());
    }
    // Returns the client's end.
    Fd admit(const char* from, bool waits = false) {
        Pair pair = connected();
        CHECK(list.admit(std::move(pair.peers), address_of(from), {true, {}}, config) == waits);
        return std::move(pair.ours);
    }
    // Handles all input that is there.
    void turn() {
        std::array<epoll_event, 8> events;
        for (const epoll_event& event : epoll.wait(events, 1000)) CHECK(list.on_input(event.data.fd));
        list.sweep();
    }

    OpenerClient nobody;  // no line: nothing is asked of it
    Shared shared{.opener = nobody};
    std::shared_ptr<Config> config = std::make_shared<Config>();
    Epoll epoll;
    ConnectionList list{epoll, shared};
};

// Whether the server has closed the connection; a client that is served gets the greeting first.
bool is_closed(const Fd& client) {
    std::array<char, 256> bytes;
    return ::recv(client.get(), bytes.data(), bytes.size(), MSG_DONTWAIT) == 0;
}

}  // namespace

TEST_CASE("an address has its number of connections, and a place is free when one has ended") {
    Bench bench;
    Fd first = bench.admit("192.0.2.1");
    const Fd second = bench.admit("192.0.2.1");
    CHECK(bench.list.size() == 2);
    CHECK(is_closed(bench.admit("192.0.2.1")));
    CHECK(bench.list.size() == 2);
    const Fd other = bench.admit("192.0.2.2");
    CHECK(bench.list.size() == 3);
    first.reset();
    bench.turn();
    CHECK(bench.list.size() == 2);
    const Fd third = bench.admit("192.0.2.1");
    CHECK(bench.list.size() == 3);
    CHECK_FALSE(is_closed(third));
    CHECK(bench.shared.statistics.snapshot()
              .turned_away[static_cast<std::size_t>(TurnedAway::max_per_address)] == 1);
}

TEST_CASE("an address may have a quarter of the connections, and this machine all, unless configured") {
    Bench bench;
    bench.config->maxperaddress.reset();
    bench.config->maxconnections = 8;
    std::vector<Fd> clients;
    for (const auto& [address, most] : {std::pair{"192.0.2.1", 2U}, std::pair{"127.0.0.1", 8U}}) {
        const std::size_t before = bench.list.size();
        for (int i = 0; i < 10; ++i) clients.push_back(bench.admit(address));
        CHECK(bench.list.size() - before == most);
    }
}

TEST_CASE("a handshake ends with the time for handshakes") {
    Bench bench;
    const auto before = Clock::now();
    const Fd client = bench.admit("192.0.2.1");
    const Deadline deadline = bench.list.deadline();
    CHECK(deadline >= before + bench.config->handshaketimeout);
    CHECK(deadline <= Clock::now() + bench.config->handshaketimeout);
    bench.list.on_time(deadline - std::chrono::milliseconds(1));
    bench.list.sweep();
    CHECK(bench.list.size() == 1);
    bench.list.on_time(deadline);
    bench.list.sweep();
    CHECK(bench.list.empty());
}

TEST_CASE("clients are given up all at once, or only those that are receiving a reply") {
    Bench bench;
    const Fd client = bench.admit("192.0.2.1");
    CHECK_FALSE(is_closed(client));  // takes the greeting
    bench.list.abandon_senders();
    CHECK_FALSE(is_closed(client));
    bench.list.abandon();
    CHECK(is_closed(client));
}

TEST_CASE("without a place for another export's user nobody is admitted") {
    Bench bench;
    bench.config->maxconnections = 1;
    REQUIRE(bench.shared.counts.enter(ConnectionCounts::all, 1));
    CHECK(is_closed(bench.admit("192.0.2.1")));
    CHECK(bench.list.empty());
    bench.shared.counts.leave(ConnectionCounts::all);
    const Fd client = bench.admit("192.0.2.1");
    CHECK(bench.list.size() == 1);
}

TEST_CASE("a client waits for the authfiles where an export has one") {
    Bench bench;
    bench.config->exports[0].authfile = "/holdfast-no-such-file";
    const Fd client = bench.admit("192.0.2.1", true);
    CHECK(bench.list.lobby().unjudged() == 1);
    CHECK_FALSE(is_closed(client));
    bench.list.lobby().judge(bench.list.lobby().admission().next(),
                             [](const Address& from) { return AccessTable::make({}, nullptr)->judge(from); });
    bench.list.sweep();
    CHECK(bench.list.empty());
}

TEST_CASE("a stop ends the handshakes, and the list names those that are left") {
    Bench bench;
    const Fd client = bench.admit("192.0.2.1");
    CHECK(bench.list.peers() == std::vector<std::string>{"192.0.2.1:0"});
    bench.list.stop();
    bench.list.sweep();
    CHECK(bench.list.empty());
    CHECK(bench.list.peers().empty());
}

TEST_CASE("a descriptor of something else is no connection's") {
    Bench bench;
    const Pair pair = connected();
    CHECK_FALSE(bench.list.on_input(pair.ours.get()));
}
