// The end of a search, with a server whose disk does not answer.
#include "client/attach/server_search.hh"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/linux/clock.hh"
#include "common/linux/fd.hh"
#include "common/linux/pause.hh"
#include "common/protocol/constants.hh"
#include "tests/unit/stub_server.hh"

using namespace holdfast;
using namespace holdfast::client;
using namespace stub;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

// Accepts a GO, and answers its first read after a time, or never.
class SlowServer {
public:
    explicit SlowServer(std::optional<milliseconds> answers_after = {}) : answers_after_(answers_after) {
        std::string pattern = "/tmp/holdfast-search-XXXXXX";
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        folder_ = pattern;
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path().copy(address.sun_path, sizeof address.sun_path - 1);
        REQUIRE(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
        REQUIRE(::listen(socket_.get(), 4) == 0);
        thread_ = std::thread([this] {
            for (;;) {
                const Fd peer(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
                if (!peer) return;
                talk(peer.get());
            }
        });
    }
    ~SlowServer() {
        ::shutdown(socket_.get(), SHUT_RDWR);
        thread_.join();
        std::filesystem::remove_all(folder_);
    }
    SlowServer(const SlowServer&) = delete;
    SlowServer& operator=(const SlowServer&) = delete;
    [[nodiscard]] std::string path() const { return folder_ / "socket"; }

private:
    void talk(int peer) const {
        constexpr std::uint32_t go_option = 7;
        send_all(peer, greeting());
        std::array<std::uint8_t, 4> flags{};
        std::array<std::uint8_t, 16> head{};
        (void)::recv(peer, flags.data(), flags.size(), MSG_WAITALL);
        while (::recv(peer, head.data(), head.size(), MSG_WAITALL) == 16) {
            const bool go = head[11] == go_option;
            std::vector<std::uint8_t> data(std::size_t{head[14]} << 8 | head[15]);
            (void)::recv(peer, data.data(), data.size(), MSG_WAITALL);
            std::vector<std::uint8_t> bytes;
            if (go) {
                std::vector<std::uint8_t> info;
                append(info, nbd::be16(0));
                append(info, nbd::be64(1U << 20));
                append(info, nbd::be16(nbd::flag_has_flags));
                append_reply(bytes, go_option, 3, std::string(info.begin(), info.end()));
            }
            const std::uint32_t option = std::uint32_t{head[8]} << 24 | std::uint32_t{head[9]} << 16 |
                                         std::uint32_t{head[10]} << 8 | head[11];
            constexpr std::uint32_t unsupported = 0x80000001;
            append_reply(bytes, option, go ? 1 : unsupported, "");
            send_all(peer, bytes);
            if (go && answers_after_) answer_read(peer);
            // Until the client gives up.
            while (go && ::recv(peer, head.data(), head.size(), 0) > 0) {
            }
        }
    }

    // With an error: the device gets the smallest blocks.
    void answer_read(int peer) const {
        std::array<std::uint8_t, 28> request{};
        if (::recv(peer, request.data(), request.size(), MSG_WAITALL) != ssize_t{sizeof request}) return;
        pause_for(*answers_after_);
        std::vector<std::uint8_t> reply;
        append(reply, nbd::be32(0x67446698));
        append(reply, nbd::be32(5));
        reply.insert(reply.end(), request.begin() + 8, request.begin() + 16);
        send_all(peer, reply);
    }

    std::optional<milliseconds> answers_after_;
    std::filesystem::path folder_;
    Fd socket_{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    std::thread thread_;
};

class Holder final : public Claimant {
public:
    std::expected<Identity, Failure> take() override { return Identity{nbd::Uuid{1}, std::nullopt}; }
    void release() noexcept override {}
};

SearchRequest request_to(const std::vector<const SlowServer*>& servers) {
    SearchRequest request;
    for (const SlowServer* server : servers) {
        ServerAddress address;
        address.kind = ServerAddress::Kind::unix_socket;
        address.socket_path = server->path();
        address.export_name = "root";
        request.servers.push_back(address);
    }
    request.patience = seconds{1};
    return request;
}

std::expected<Found, Failure> search_for(const SearchRequest& request) {
    Holder holder;
    const Report report{Fd(::open("/dev/null", O_WRONLY | O_CLOEXEC))};
    return search(request, holder, report);
}

}  // namespace

TEST_CASE("a disk that does not answer its first read ends soon after the search") {
    const SlowServer server;
    SearchRequest request = request_to({&server});
    CHECK(request.least_read_patience == seconds{15});
    request.least_read_patience = seconds{2};
    const auto begin = Clock::now();
    const auto found = search_for(request);
    REQUIRE_FALSE(found);
    CHECK(found.error().code == ExitCode::unreachable);
    CHECK(Clock::now() - begin >= seconds{2});  // the least time of a read: the server was asked
    CHECK(Clock::now() - begin < seconds{20});
}

TEST_CASE("a disk that spins up answers even if its server was reached at the end of the search") {
    const SlowServer server{milliseconds{2500}};
    CHECK(search_for(request_to({&server})));
}

TEST_CASE("a hanging disk leaves the next server its share of the time") {
    const SlowServer hanging;
    const SlowServer slow{milliseconds{500}};
    SearchRequest request = request_to({&hanging, &slow});
    request.patience = seconds{6};  // a share of three seconds
    request.least_read_patience = milliseconds{100};
    const auto found = search_for(request);
    REQUIRE(found);
    CHECK(found->target == 1);
}
