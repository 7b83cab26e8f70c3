// One attempt to make a link, against a server of the test's own on a socket without a file.
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "client/link.hh"
#include "common/linux/fd.hh"
#include "common/protocol/constants.hh"
#include "common/protocol/wire.hh"

using namespace holdfast;
using namespace holdfast::client;
using std::chrono::milliseconds;

namespace {

// A listening socket whose name the kernel chooses.
struct Listener {
    Fd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    Endpoint endpoint;

    Listener() {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address),
                       sizeof address.sun_family) == 0);
        REQUIRE(::listen(socket.get(), 4) == 0);
        endpoint.length = sizeof endpoint.address;
        REQUIRE(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&endpoint.address),
                              &endpoint.length) == 0);
        endpoint.text = "test";
    }
};

template <class Wire>
void append(std::vector<std::uint8_t>& bytes, const Wire& wire) {
    const auto* const data = reinterpret_cast<const std::uint8_t*>(&wire);
    bytes.insert(bytes.end(), data, data + sizeof wire);
}

void append_reply(std::vector<std::uint8_t>& bytes, std::uint32_t option, std::uint32_t type,
                  const std::string& text) {
    append(bytes, nbd::be64(0x3e889045565a9));
    for (const std::uint32_t number : {option, type, static_cast<std::uint32_t>(text.size())})
        append(bytes, nbd::be32(number));
    bytes.insert(bytes.end(), text.begin(), text.end());
}

std::vector<std::uint8_t> greeting() {
    std::vector<std::uint8_t> bytes;
    append(bytes, nbd::be64(0x4e42444d41474943));
    append(bytes, nbd::be64(0x49484156454f5054));
    append(bytes, nbd::be16(3));
    return bytes;
}

bool send_all(int socket, const std::vector<std::uint8_t>& bytes) {
    for (std::size_t at = 0; at < bytes.size();) {
        const ssize_t count = ::send(socket, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
        if (count <= 0) return false;
        at += static_cast<std::size_t>(count);
    }
    return true;
}

}  // namespace

TEST_CASE("an attempt takes some of what a server sends at a time, so that its owner can look at the clock") {
    const Listener listener;
    int seen = 0;
    LinkAttempt attempt(listener.endpoint,
                        nbd::ClientHandshake([&](std::string_view, std::string_view) { ++seen; }),
                        default_dead_after);
    const Fd peer(::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
    std::vector<std::uint8_t> bytes = greeting();
    constexpr int sent = 1000;
    for (int i = 0; i < sent; ++i) append_reply(bytes, 3, 2, std::string("\0\0\0\1x", 5));
    REQUIRE(send_all(peer.get(), bytes));
    attempt.advance();
    CHECK(seen < sent);
    for (int calls = 0; calls < sent && seen < sent; ++calls) attempt.advance();
    CHECK(seen == sent);
    CHECK(attempt.state() == LinkAttempt::State::running);
}

TEST_CASE("a refusal's words are shown without what could deceive a reader") {
    const Listener listener;
    std::thread server([&] {
        const Fd peer(::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
        std::vector<std::uint8_t> bytes = greeting();
        append_reply(bytes, 6, (1U << 31) + 6, "no \xe2\x80\xaetoor\xe2\x80\x8b");  // INFO, ERR_UNKNOWN
        send_all(peer.get(), bytes);
        char byte = 0;
        while (::recv(peer.get(), &byte, 1, 0) > 0) continue;
    });
    const auto link =
        make_link(listener.endpoint, nbd::ClientHandshake(nbd::ClientHandshake::Goal::info, "root"));
    server.join();
    REQUIRE_FALSE(link);
    const std::string text(link.error().text.view());
    CHECK(text.find("(no \\xe2\\x80\\xaetoor\\xe2\\x80\\x8b)") != std::string::npos);
}
