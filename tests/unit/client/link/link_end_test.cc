// How a link ceases to be ours, on TCP connections over loopback: nothing of what it still holds goes out.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <vector>

#include "client/link/link_health.hh"
#include "common/linux/socket_name.hh"
#include "tests/unit/socket_pair.hh"

using namespace holdfast;
using namespace holdfast::client;

namespace {

// How many bytes come before the end, and whether that is a reset.
std::size_t drain(int socket, bool& reset) {
    std::vector<char> data(1 << 16);
    for (std::size_t total = 0;;) {
        const ssize_t count = ::recv(socket, data.data(), data.size(), 0);
        reset = count < 0 && errno == ECONNRESET;
        if (count <= 0) return total;
        total += static_cast<std::size_t>(count);
    }
}

}  // namespace

TEST_CASE("what a link that ends still holds does not go out, although somebody else has it open") {
    Pair pair = connected();
    const Fd kernels(::fcntl(pair.ours.get(), F_DUPFD_CLOEXEC, 0));
    fill(pair.ours.get());
    CHECK_FALSE(all_sent(pair.ours.get()));
    int there = 0;
    REQUIRE(::ioctl(pair.peers.get(), FIONREAD, &there) == 0);
    end_link(pair.ours);
    CHECK_FALSE(pair.ours);
    bool reset = false;
    CHECK(drain(pair.peers.get(), reset) <= static_cast<std::size_t>(there));
    CHECK(reset);
}

TEST_CASE("a link that is only closed sends all of it: that is what ending it is for") {
    Pair pair = connected();
    fill(pair.ours.get());
    int there = 0;
    REQUIRE(::ioctl(pair.peers.get(), FIONREAD, &there) == 0);
    pair.ours.reset();
    bool reset = true;
    CHECK(drain(pair.peers.get(), reset) > static_cast<std::size_t>(there));
    CHECK_FALSE(reset);
}

TEST_CASE("a link that was cut is purged when the last who has it closes it") {
    Pair pair = connected();
    fill(pair.ours.get());
    cut(pair.ours.get());
    pair.ours.reset();
    bool reset = false;
    (void)drain(pair.peers.get(), reset);
    CHECK(reset);
}

TEST_CASE("ending no link, or a UNIX socket, is no mistake") {
    Fd none;
    end_link(none);
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    Fd ours(ends[0]);
    const Fd peers(ends[1]);
    end_link(ours);
    char byte = 0;
    CHECK(::recv(peers.get(), &byte, 1, 0) == 0);
}

TEST_CASE("the peer has ended a link that it has closed, and no other") {
    Pair pair = connected();
    CHECK_FALSE(is_ended_by_peer(pair.ours.get()));
    cut(pair.ours.get());
    CHECK_FALSE(is_ended_by_peer(pair.ours.get()));
    Pair closed = connected();
    REQUIRE(::send(closed.ours.get(), "request", 7, 0) == 7);
    std::array<char, 7> request{};
    REQUIRE(::recv(closed.peers.get(), request.data(), request.size(), MSG_WAITALL) == 7);
    closed.peers.reset();
    pollfd ended{closed.ours.get(), POLLIN, 0};
    REQUIRE(::poll(&ended, 1, 10'000) == 1);
    CHECK(is_ended_by_peer(closed.ours.get()));
    // As the kernel's driver does at once. Over loopback the acknowledgement comes within the call.
    shut_down(closed.ours.get());
    CHECK(is_ended_by_peer(closed.ours.get()));
}

TEST_CASE("a reset is not the peer's end: another machine at its address sends one, too") {
    Pair pair = connected();
    REQUIRE(::send(pair.ours.get(), "request", 7, 0) == 7);
    end_link(pair.peers);
    pollfd ended{pair.ours.get(), POLLIN, 0};
    REQUIRE(::poll(&ended, 1, 10'000) == 1);
    CHECK_FALSE(is_ended_by_peer(pair.ours.get()));
    shut_down(pair.ours.get());
    CHECK_FALSE(is_ended_by_peer(pair.ours.get()));
}

TEST_CASE("a TCP socket and a UNIX socket have names of their own") {
    const Pair pair = connected();
    const SocketName name = name_of_socket(pair.ours.get());
    CHECK_FALSE(name.empty());
    CHECK_FALSE(name.full());
    CHECK_FALSE(name == name_of_socket(pair.peers.get()));
    CHECK(name == name_of_socket(pair.ours.get()));
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    const Fd one(ends[0]);
    const Fd other(ends[1]);
    const SocketName local = name_of_socket(one.get());
    CHECK(names_unix_socket(local));
    CHECK(names_unix_socket(unix_socket));
    CHECK_FALSE(names_unix_socket(name));
    CHECK_FALSE(local == name_of_socket(other.get()));
    const auto read_local = read_unix_socket_name(local);
    CHECK(read_local.has_value() == network_of_socket(one.get()).has_value());
    for (const char* text : {"", "unix", "unix 1", "unix 1 2", "unix 1 2 x", "unix x 2 3", "tcp 1 2 3"})
        CHECK_FALSE(read_unix_socket_name(text));
    CHECK(name_of_socket(-1).empty());
    const auto read = read_socket_name(name);
    REQUIRE(read);
    CHECK(read->network == network_of_socket(pair.ours.get()));
    CHECK(read->remote.bytes.ss_family == AF_INET);
}
