// Boot files over a connection to a server of the test's own.
#include "client/link/boot_file_link.hh"

#include <doctest/doctest.h>
#include <sys/un.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "common/linux/pause.hh"
#include "tests/unit/stub_server.hh"

using namespace holdfast;
using namespace holdfast::client;
using std::chrono::milliseconds;

namespace {

// Sends each client these bytes at once, then these one by one.
class TricklingServer {
public:
    TricklingServer(std::vector<std::uint8_t> at_once, std::vector<std::uint8_t> trickle)
        : at_once_(std::move(at_once)), trickle_(std::move(trickle)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        REQUIRE(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address),
                       sizeof address.sun_family) == 0);
        REQUIRE(::listen(socket_.get(), 4) == 0);
        endpoint.length = sizeof endpoint.address;
        REQUIRE(::getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&endpoint.address),
                              &endpoint.length) == 0);
        thread_ = std::thread([this] {
            const Fd peer(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
            if (!peer || !stub::send_all(peer.get(), at_once_)) return;
            for (const std::uint8_t byte : trickle_) {
                pause_for(milliseconds{50});
                if (over_ || !stub::send_all(peer.get(), {byte})) return;
            }
        });
    }
    ~TricklingServer() {
        over_ = true;
        ::shutdown(socket_.get(), SHUT_RDWR);
        thread_.join();
    }
    TricklingServer(const TricklingServer&) = delete;
    TricklingServer& operator=(const TricklingServer&) = delete;

    Endpoint endpoint;

private:
    Fd socket_{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    std::vector<std::uint8_t> at_once_;
    std::vector<std::uint8_t> trickle_;
    std::atomic<bool> over_ = false;
    std::thread thread_;
};

// An answer to `status` whose text takes 50 ms for each of its bytes.
std::vector<std::uint8_t> long_answer() {
    std::vector<std::uint8_t> bytes;
    stub::append_reply(bytes, 0x48460002, 0x48460002, std::string(600, 'x'));
    return bytes;
}

}  // namespace

TEST_CASE(
    "a server of boot files that goes on sending single bytes does not hold a command after its deadline") {
    const auto began = Clock::now();
    SUBCASE("in its greeting") {
        std::vector<std::uint8_t> greeting = stub::greeting();
        greeting.resize(600);
        const TricklingServer server({}, greeting);
        const auto link = BootFileLink::open(server.endpoint, {}, "disk", began + milliseconds{400});
        CHECK(Clock::now() - began < milliseconds{15000});
        REQUIRE_FALSE(link);
        CHECK(link.error().text == "receive: Connection timed out");
        CHECK(link.error().fault == LinkFault::unreachable);
    }
    SUBCASE("in an answer") {
        const TricklingServer server(stub::greeting(), long_answer());
        auto link = BootFileLink::open(server.endpoint, {}, "disk", began + milliseconds{3000});
        REQUIRE(link);
        const auto text = link->status();
        CHECK(Clock::now() - began < milliseconds{15000});
        REQUIRE_FALSE(text);
        CHECK(text.error().text == "receive: Connection timed out");
    }
}
