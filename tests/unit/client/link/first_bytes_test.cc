// The first read over a new link, with servers that answer well, badly, or never.
#include <doctest/doctest.h>
#include <fcntl.h>

#include <numeric>
#include <thread>

#include "../../socket_pair.hh"
#include "../../stub_server.hh"
#include "client/link/first_bytes.hh"
#include "common/protocol/transmission.hh"

using namespace holdfast;
using namespace holdfast::client;

namespace {

using std::chrono::milliseconds;
using Bytes = std::vector<std::uint8_t>;

struct Connection {
    Link link;
    Fd server;
};

Connection connection() {
    Pair pair = connected();
    REQUIRE(::fcntl(pair.ours.get(), F_SETFL, O_NONBLOCK) == 0);
    Connection made;
    made.link.socket = std::move(pair.ours);
    made.server = std::move(pair.peers);
    return made;
}

nbd::Request received(const Fd& server) {
    Bytes bytes(sizeof(nbd::WireRequest));
    REQUIRE(::recv(server.get(), bytes.data(), bytes.size(), MSG_WAITALL) ==
            static_cast<ssize_t>(bytes.size()));
    const auto request = nbd::decode_request(std::span(bytes).first<sizeof(nbd::WireRequest)>());
    REQUIRE(request);
    return *request;
}

Bytes reply(std::uint64_t cookie, nbd::ErrorCode error, const Bytes& data = {}) {
    Bytes bytes;
    stub::append(bytes, nbd::encode_simple_reply({error, cookie}));
    bytes.insert(bytes.end(), data.begin(), data.end());
    return bytes;
}

// The result with a server that answers what `answer` makes of the request's cookie.
template <class Answer>
auto read_with(Answer answer, milliseconds patience = milliseconds(60'000)) {
    Connection made = connection();
    std::thread server([&] {
        const nbd::Request request = received(made.server);
        answer(made.server, request.cookie);
    });
    auto result = read_first_bytes(made.link, 8192, patience);
    server.join();
    return result;
}

}  // namespace

TEST_CASE("the first bytes are asked for once, and received in any pieces") {
    Bytes data(8192);
    std::iota(data.begin(), data.end(), std::uint8_t{0});
    Connection made = connection();
    nbd::Request request;
    std::thread server([&] {
        request = received(made.server);
        const Bytes bytes = reply(request.cookie, nbd::ErrorCode::none, data);
        for (std::size_t at = 0; at < bytes.size();) {
            const std::size_t count = std::min<std::size_t>(at < 20 ? 1 : 3001, bytes.size() - at);
            REQUIRE(stub::send_all(made.server.get(), {bytes.begin() + static_cast<long>(at),
                                                       bytes.begin() + static_cast<long>(at + count)}));
            at += count;
        }
        // Later bytes belong to the kernel.
        REQUIRE(stub::send_all(made.server.get(), {1, 2, 3}));
    });
    const auto result = read_first_bytes(made.link, 8192, milliseconds(60'000));
    server.join();
    REQUIRE(result);
    CHECK(*result == data);
    CHECK(request.command == static_cast<std::uint16_t>(nbd::Command::read));
    CHECK(request.offset == 0);
    CHECK(request.length == 8192);
    CHECK(request.flags == 0);
    Bytes rest(16);
    CHECK(::recv(made.link.socket.get(), rest.data(), rest.size(), 0) == 3);
}

TEST_CASE("a read that the server refuses leaves a link that can be used") {
    const auto result = read_with([](const Fd& server, std::uint64_t cookie) {
        REQUIRE(stub::send_all(server.get(), reply(cookie, nbd::ErrorCode::eio)));
    });
    REQUIRE(result);
    CHECK(result->empty());
}

TEST_CASE("an answer to another request, or none at all, is no answer") {
    const auto other = read_with([](const Fd& server, std::uint64_t cookie) {
        REQUIRE(stub::send_all(server.get(), reply(cookie + 1, nbd::ErrorCode::none)));
    });
    REQUIRE_FALSE(other);
    CHECK(other.error().fault == LinkFault::unusable);
    const auto rubbish = read_with(
        [](const Fd& server, std::uint64_t) { REQUIRE(stub::send_all(server.get(), Bytes(64, 0x41))); });
    REQUIRE_FALSE(rubbish);
    CHECK(rubbish.error().fault == LinkFault::unusable);
    const auto closed = read_with([](Fd& server, std::uint64_t) { server.reset(); });
    REQUIRE_FALSE(closed);
    CHECK(closed.error().fault == LinkFault::unreachable);
}

TEST_CASE("a server that answers byte after byte is given up in time") {
    const auto began = Clock::now();
    const auto silent = read_with([](const Fd&, std::uint64_t) {}, milliseconds(50));
    REQUIRE_FALSE(silent);
    CHECK(silent.error().text.view().find("timed out") != std::string_view::npos);
    const auto slow = read_with(
        [](const Fd& server, std::uint64_t cookie) {
            REQUIRE(stub::send_all(server.get(), reply(cookie, nbd::ErrorCode::none)));
            for (int i = 0; i < 40; ++i) {
                if (!stub::send_all(server.get(), {0})) return;
                std::this_thread::sleep_for(milliseconds(5));
            }
        },
        milliseconds(100));
    REQUIRE_FALSE(slow);
    CHECK(slow.error().text.view().find("timed out") != std::string_view::npos);
    CHECK(Clock::now() - began < std::chrono::seconds(20));
}
