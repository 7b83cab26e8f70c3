#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <string>
#include <thread>

#include "common/linux/fd.hh"
#include "server/transport/coalescing.hh"

using namespace holdfast;
using namespace holdfast::server;
using namespace std::chrono_literals;

namespace {

void many(CoalesceHabit& habit, std::uint32_t times, std::uint32_t requests) {
    for (std::uint32_t i = 0; i < times; ++i) habit.took(requests, false);
}

struct Link {
    Fd client;
    Fd here;
};

Link link() {
    const Fd listener(::socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* place = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(::bind(listener.get(), place, size) == 0);
    REQUIRE(::listen(listener.get(), 1) == 0);
    REQUIRE(::getsockname(listener.get(), place, &size) == 0);
    Fd client(::socket(AF_INET, SOCK_STREAM, 0));
    REQUIRE(::connect(client.get(), place, size) == 0);
    return {std::move(client), Fd(::accept(listener.get(), nullptr, nullptr))};
}

void send_bytes(const Fd& socket, std::size_t count) {
    const std::string bytes(count, 'x');
    REQUIRE(::send(socket.get(), bytes.data(), count, 0) == static_cast<ssize_t>(count));
}

std::size_t receive_bytes(const Fd& socket) {
    char bytes[1000];
    return static_cast<std::size_t>(::recv(socket.get(), bytes, sizeof bytes, MSG_DONTWAIT));
}

constexpr std::size_t each = 28;

// Whose client is known to have many in flight.
void flood(Coalescing& coalescing) {
    coalescing.took(CoalesceHabit::many);
    coalescing.took(1);
}

}  // namespace

TEST_CASE("coalescing: only a client with many requests in flight is waited for") {
    CoalesceHabit habit;
    CHECK(habit.wanted() == 1);
    many(habit, 100'000, 1);
    CHECK(habit.wanted() == 1);
    habit.took(CoalesceHabit::many, false);
    CHECK(habit.wanted() == 1);  // they come together without it
    habit.took(1, false);
    CHECK(habit.wanted() == CoalesceHabit::half);
    habit.took(CoalesceHabit::half, false);
    CHECK(habit.wanted() == CoalesceHabit::half);
}

TEST_CASE("coalescing: where several come at a time, it is tried, and less and less if it fails") {
    CoalesceHabit habit;
    std::uint32_t between = 0;
    std::uint32_t trials = 0;
    for (int i = 0; i < 100'000; ++i) {
        ++between;
        if (habit.wanted() == 1) {
            habit.took(2, false);
            continue;
        }
        CHECK(habit.wanted() == CoalesceHabit::many);
        CHECK(between > (trials == 0 ? CoalesceHabit::first_pause : 1));
        habit.took(4, true);
        between = 0;
        ++trials;
    }
    CHECK(trials > 5);
    CHECK(trials < 20);

    while (habit.wanted() == 1) habit.took(2, false);
    habit.took(CoalesceHabit::many, false);
    habit.took(2, false);
    CHECK(habit.wanted() == CoalesceHabit::half);
}

TEST_CASE("coalescing: it is left off when requests are late too often, and now and then is not") {
    CoalesceHabit habit;
    many(habit, 1, CoalesceHabit::many);
    for (int i = 0; i < 1000; ++i) {
        if (habit.wanted() == CoalesceHabit::many) {
            habit.took(CoalesceHabit::many, false);
            continue;
        }
        habit.took(CoalesceHabit::half, i % (2 * CoalesceHabit::price) == 0);
    }
    CHECK(habit.wanted() > 1);

    CoalesceHabit other;
    other.took(CoalesceHabit::many, false);
    other.took(1, false);
    for (int i = 0; i <= CoalesceHabit::most_credit / CoalesceHabit::price; ++i) {
        CHECK(other.wanted() > 1);
        other.took(CoalesceHabit::half - 1, true);
    }
    CHECK(other.wanted() == 1);
}

TEST_CASE("coalescing: a client that has fewer in flight than before is found out") {
    CoalesceHabit habit;
    many(habit, 1, CoalesceHabit::many);
    std::uint32_t waits = 0;
    // They come in time, since there are enough of them: only a trial shows that there are no more.
    while (habit.wanted() != 1 || waits == 0) {
        habit.took(CoalesceHabit::half, habit.wanted() == CoalesceHabit::many);
        REQUIRE(++waits < 10'000);
    }
    CHECK(waits > 1);
}

TEST_CASE("coalescing: the socket is readable when so many requests are there, or when the time is over") {
    const Link pair = link();
    Coalescing coalescing(pair.here.get(), 1'000'000us);
    CHECK_FALSE(coalescing.wait(each));
    flood(coalescing);

    std::jthread client([&] {
        for (std::uint32_t i = 0; i < CoalesceHabit::half; ++i) {
            std::this_thread::sleep_for(1ms);  // so that each is a packet, and could wake the other side
            send_bytes(pair.client, each);
        }
    });
    CHECK(coalescing.wait(each));
    CHECK(receive_bytes(pair.here) == CoalesceHabit::half * each);
    coalescing.took(CoalesceHabit::half);

    // One short of it.
    send_bytes(pair.client, (CoalesceHabit::half - 1) * each);
    const auto began = std::chrono::steady_clock::now();
    (void)coalescing.wait(each);
    CHECK(std::chrono::steady_clock::now() - began >= 1s);
    CHECK(receive_bytes(pair.here) == (CoalesceHabit::half - 1) * each);
}

TEST_CASE("coalescing: turned off, and after it was not worth while, each byte makes the socket readable") {
    const Link pair = link();
    Coalescing never(pair.here.get(), 0us);
    flood(never);
    CHECK_FALSE(never.wait(each));

    Coalescing coalescing(pair.here.get(), 1000us);
    const auto low_water = [&] {
        int bytes = 0;
        socklen_t size = sizeof bytes;
        REQUIRE(::getsockopt(pair.here.get(), SOL_SOCKET, SO_RCVLOWAT, &bytes, &size) == 0);
        return bytes;
    };
    flood(coalescing);
    CHECK_FALSE(coalescing.wait(each));  // nothing came
    CHECK(low_water() == 1);
    send_bytes(pair.client, CoalesceHabit::half * each);
    CHECK(coalescing.wait(each));
    CHECK(low_water() == CoalesceHabit::half * each);
    coalescing.off();
    CHECK(low_water() == 1);
}
