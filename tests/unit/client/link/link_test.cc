// One attempt to make a link, against a server of the test's own on a socket without a file.
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <stdlib.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "client/link/link.hh"
#include "common/linux/fd.hh"
#include "tests/unit/stub_server.hh"

using namespace holdfast;
using namespace holdfast::client;
using namespace stub;
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

namespace {

// A server at a path, which refuses whatever it is asked, in its own words.
class Refusing {
public:
    Refusing(const std::string& path, const std::string& words) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        REQUIRE(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
        REQUIRE(::listen(socket_.get(), 4) == 0);
        thread_ = std::thread([this, words] {
            for (;;) {
                const Fd peer(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
                if (!peer) return;
                std::vector<std::uint8_t> bytes = greeting();
                append_reply(bytes, 6, (1U << 31) + 6, words);
                send_all(peer.get(), bytes);
                char byte = 0;
                while (::recv(peer.get(), &byte, 1, 0) > 0) continue;
            }
        });
    }
    ~Refusing() {
        ::shutdown(socket_.get(), SHUT_RDWR);
        thread_.join();
    }
    Refusing(const Refusing&) = delete;
    Refusing& operator=(const Refusing&) = delete;

private:
    Fd socket_{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    std::thread thread_;
};

// What came of an attempt, in words.
std::string outcome(const Endpoint& endpoint) {
    const auto link = make_link(endpoint, nbd::ClientHandshake(nbd::ClientHandshake::Goal::info, "root"));
    return link ? "a link" : std::string(link.error().text.view());
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE(
    "a UNIX socket is reached by its folder when its path leads elsewhere, and by its path when the folder "
    "is new") {
    std::string pattern = "/tmp/holdfast-link-XXXXXX";
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    const std::filesystem::path base = pattern;
    const auto working_folder = std::filesystem::current_path();
    std::filesystem::create_directories(base / "run");
    ServerAddress address;
    address.kind = ServerAddress::Kind::unix_socket;
    address.socket_path = base / "run/nbd.sock";
    const auto endpoints = resolve(address);
    REQUIRE(endpoints);
    Endpoint root = endpoints->front();
    Endpoint other = endpoints->front();
    keep_folder(root, true);
    keep_folder(other, false);
    {
        const Refusing first(address.socket_path, "first");
        // As switch_root does with /run.
        std::filesystem::rename(base / "run", base / "moved");
        CHECK(contains(outcome(endpoints->front()), "No such file"));
        CHECK(contains(outcome(root), "first"));
        CHECK(contains(outcome(other), "first"));
    }
    std::filesystem::remove_all(base / "moved");
    std::filesystem::create_directories(base / "run");
    {
        const Refusing second(address.socket_path, "second");
        CHECK(contains(outcome(other), "second"));
        // The path may lead to the disk itself.
        CHECK(contains(outcome(root), "No such file"));
    }
    CHECK(std::filesystem::current_path() == "/dev");
    std::filesystem::current_path(working_folder);
    std::filesystem::remove_all(base);
}
