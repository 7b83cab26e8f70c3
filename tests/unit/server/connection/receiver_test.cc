// Receiving requests and payloads: amounts, destinations, and the ends of waits.
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <vector>

#include "server/connection/receiver.hh"
#include "tests/unit/socket_pair.hh"

using namespace holdfast;
using namespace holdfast::server;

namespace {

using Next = Receiver::Next;
using Outcome = Receiver::Outcome;

constexpr std::size_t header = sizeof(nbd::WireRequest);

nbd::Request request_of(nbd::Command command, std::uint32_t length) {
    nbd::Request request{};
    request.command = static_cast<std::uint16_t>(command);
    request.length = length;
    return request;
}

struct Bench {
    Bench() {
        const timeval soon{.tv_sec = 0, .tv_usec = 20'000};
        REQUIRE(::setsockopt(pair.ours.get(), SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon) == 0);
    }
    // Sends `count` bytes, as the client.
    void send(std::size_t count) {
        const std::vector<std::uint8_t> bytes(count, 'x');
        REQUIRE(::send(pair.peers.get(), bytes.data(), count, 0) == static_cast<ssize_t>(count));
    }

    Pair pair = connected();
    Budget budget;
    Buffers buffers{budget.borrower("disk", "test")};
    PollSeats seats{1};
    ExportConfig config;
    Receiver receiver{pair.ours.get(), buffers, seats, config};
};

}  // namespace

TEST_CASE("a silent client is told from one of whom nothing has come without a wait") {
    Bench bench;
    CHECK(bench.receiver.receive(Next::request, {}, false).outcome == Outcome::nothing);
    CHECK(bench.receiver.receive(Next::request, {}, true).outcome == Outcome::silent);
    bench.send(header);
    CHECK(bench.receiver.receive(Next::request, {}, true).outcome == Outcome::data);
    bench.receiver.take(request_of(nbd::Command::read, 4096));
    CHECK(bench.receiver.receive(Next::request, {}, true).outcome == Outcome::silent);
    bench.pair.peers.reset();
    CHECK(bench.receiver.receive(Next::request, {}, true).outcome == Outcome::closed);
}

TEST_CASE("a payload goes to its place, and what follows into the buffer") {
    Bench bench;
    std::vector<std::uint8_t> place(100);
    bench.send(100 + header);
    const Receiver::Reception got = bench.receiver.receive(Next::payload, place, true);
    CHECK(got.outcome == Outcome::data);
    CHECK(got.into_ahead == 100);
    CHECK(place.back() == 'x');
    CHECK(bench.receiver.bytes().size() == header);
    CHECK(bench.receiver.unread() == header);
}

TEST_CASE("after a large write only the next header is received, but a discarded payload in large pieces") {
    Bench bench;
    bench.send(header);
    CHECK(bench.receiver.receive(Next::request, {}, true).outcome == Outcome::data);
    bench.receiver.take(request_of(nbd::Command::write, 1U << 20));
    bench.send(4096);
    CHECK(bench.receiver.receive(Next::request, {}, true).outcome == Outcome::data);
    CHECK(bench.receiver.bytes().size() == header);
    CHECK(bench.receiver.unread() == 4096);
    CHECK(bench.receiver.receive(Next::discarded, {}, true).outcome == Outcome::data);
    CHECK(bench.receiver.bytes().size() == 4096);
    bench.receiver.consume(4096 - header);
    bench.receiver.take(request_of(nbd::Command::write, 4096));
    bench.send(8192);
    CHECK(bench.receiver.receive(Next::request, {}, true).outcome == Outcome::data);
    CHECK(bench.receiver.bytes().size() == 8192);
}

TEST_CASE("the next of single requests is polled for, and its arrival ends the wait") {
    Bench bench;
    bench.config.busypoll = std::chrono::microseconds(1000);
    Receiver polling(bench.pair.ours.get(), bench.buffers, bench.seats, bench.config);
    for (int i = 0; i < 2 * PollHabit::enough_short_waits; ++i) {
        bench.send(header);
        REQUIRE(polling.receive(Next::request, {}, true).outcome == Outcome::data);
        REQUIRE(polling.bytes().size() == header);
        polling.take(request_of(nbd::Command::read, 4096));
    }
    CHECK(polling.receive(Next::request, {}, true).outcome == Outcome::silent);
    polling.close();
    CHECK(bench.seats.take());
}

TEST_CASE("without memory to receive into a receive fails") {
    Bench bench;
    Buffers full{bench.budget.borrower("disk", "test")};
    Receiver receiver(bench.pair.ours.get(), full, bench.seats, bench.config);
    std::vector<std::span<std::uint8_t>> taken;
    for (;;) {
        taken.push_back(full.take(Buffers::page));
        if (taken.back().empty()) break;
    }
    bench.send(header);
    const Receiver::Reception got = receiver.receive(Next::request, {}, true);
    CHECK(got.outcome == Outcome::failed);
    CHECK(got.error == ENOMEM);
    for (const auto& area : taken) full.give(area);
}
