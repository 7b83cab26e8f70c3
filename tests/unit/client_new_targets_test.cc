// Other servers for an attached device, asked for its disk: servers of the test's own, on UNIX sockets.
#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "client/new_targets.hh"
#include "common/linux/fd.hh"
#include "common/protocol/constants.hh"
#include "tests/unit/stub_server.hh"

using namespace holdfast;
using namespace holdfast::client;
using namespace stub;

namespace {

constexpr std::uint32_t session_option = 0x48460001;
constexpr std::uint32_t info_option = 6;
constexpr std::uint64_t size = 1 << 20;

class Folder {
public:
    Folder() {
        std::string pattern = "/tmp/holdfast-targets-XXXXXX";
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path_ = pattern;
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    std::string socket(const std::string& name) const { return path_ / name; }

private:
    std::filesystem::path path_;
};

// Says which disk its export is, and how large, to whoever asks. Counts who did.
class DiskServer {
public:
    DiskServer(const std::string& path, std::string identity, std::uint64_t bytes = size)
        : identity_(std::move(identity)), bytes_(bytes) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
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
    ~DiskServer() { end(); }
    DiskServer(const DiskServer&) = delete;
    DiskServer& operator=(const DiskServer&) = delete;

    // The sessions that were claimed, as they came.
    std::vector<std::string> end() {
        if (thread_.joinable()) {
            ::shutdown(socket_.get(), SHUT_RDWR);
            thread_.join();
        }
        return sessions_;
    }

private:
    void talk(int peer) {
        send_all(peer, greeting());
        std::array<char, 4> flags{};
        if (::recv(peer, flags.data(), flags.size(), MSG_WAITALL) != 4) return;
        for (;;) {
            std::array<std::uint8_t, 16> head{};
            if (::recv(peer, head.data(), head.size(), MSG_WAITALL) != 16) return;
            const auto number = [&head](std::size_t at) {
                std::uint32_t value = 0;
                for (std::size_t i = 0; i < 4; ++i) value = value << 8 | head[at + i];
                return value;
            };
            std::string data(number(12), '\0');
            if (!data.empty() && ::recv(peer, data.data(), data.size(), MSG_WAITALL) <= 0) return;
            std::vector<std::uint8_t> bytes;
            if (number(8) == session_option) {
                sessions_.push_back(data.substr(0, 16));
                append_reply(bytes, session_option, session_option, std::string(16, 'b') + identity_);
            } else if (number(8) == info_option) {
                std::vector<std::uint8_t> info;
                append(info, nbd::be16(0));
                append(info, nbd::be64(bytes_));
                append(info, nbd::be16(nbd::flag_has_flags));
                append_reply(bytes, info_option, 3, std::string(info.begin(), info.end()));
            } else {
                return;
            }
            append_reply(bytes, number(8), 1, "");
            if (!send_all(peer, bytes)) return;
        }
    }

    Fd socket_{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    std::string identity_;
    std::uint64_t bytes_;
    std::vector<std::string> sessions_;
    std::thread thread_;
};

ServerAddress at(const std::string& path) {
    ServerAddress address;
    address.kind = ServerAddress::Kind::unix_socket;
    address.socket_path = path;
    address.export_name = "root";
    return address;
}

// Attached to the server at this path, whose link is up.
KnownDevice device_of(const std::string& path) {
    KnownDevice known;
    known.record.identifier = identifier_of(nbd::Uuid{1, 2, 3});
    known.record.server_flags = nbd::flag_has_flags;
    known.record.targets = {{resolve(at(path))->front(), "root", to_uri(at(path))}};
    known.live.size = size;
    known.live.link_up = true;
    known.live.session_known = true;
    known.live.export_identity = "disk-a";
    known.live.boot_identity.emplace();
    known.live.boot_identity->fill('b');
    return known;
}

struct Heard {
    std::vector<std::string> lines;
    Notes taker() {
        return [this](std::string_view line, bool) { lines.emplace_back(line); };
    }
};

}  // namespace

TEST_CASE("a server that has the disk is taken, and one that cannot be reached stays in the list") {
    const Folder folder;
    DiskServer good(folder.socket("good"), "disk-a");
    const KnownDevice known = device_of(folder.socket("old"));
    Heard notes;
    const auto found =
        find_new_targets({at(folder.socket("gone")), at(folder.socket("good"))}, known, true, notes.taker());
    REQUIRE(found);
    CHECK(found->targets.size() == 2);
    CHECK(found->first == 1);
    CHECK_FALSE(found->keeps_link);
    REQUIRE(notes.lines.size() == 1);
    CHECK(notes.lines[0].find("gone") != std::string::npos);
    CHECK(notes.lines[0].ends_with("it stays in the list"));
    // With a session of its own: a claim of the device's would fence its link.
    const auto sessions = good.end();
    REQUIRE(sessions.size() == 1);
    CHECK(sessions[0].substr(0, 3) != "\1\2\3");
}

TEST_CASE("a server that has another disk, or a smaller one, is a refusal, whatever else is in the list") {
    const Folder folder;
    const DiskServer good(folder.socket("good"), "disk-a");
    const DiskServer wrong(folder.socket("wrong"), "disk-b");
    const DiskServer small(folder.socket("small"), "disk-a", size / 2);
    const KnownDevice known = device_of(folder.socket("old"));
    Heard notes;
    for (const auto& [name, said] :
         {std::pair{"wrong", "another disk"}, std::pair{"small", "the device needs"}}) {
        const auto found = find_new_targets({at(folder.socket("good")), at(folder.socket(name))}, known, true,
                                            notes.taker());
        REQUIRE_FALSE(found);
        CHECK(found.error().code == ExitCode::refused);
        CHECK(found.error().text.find(said) != std::string::npos);
        CHECK(found.error().text.find(name) != std::string::npos);
    }
}

TEST_CASE("the server in use is not asked, and its link is kept; without a link it is asked like any other") {
    const Folder folder;
    DiskServer old(folder.socket("old"), "disk-a");
    DiskServer other(folder.socket("other"), "disk-a");
    KnownDevice known = device_of(folder.socket("old"));
    Heard notes;
    const std::vector servers{at(folder.socket("other")), at(folder.socket("old"))};
    auto found = find_new_targets(servers, known, true, notes.taker());
    REQUIRE(found);
    CHECK(found->keeps_link);
    CHECK(found->first == 1);
    known.live.link_up = false;
    found = find_new_targets(servers, known, true, notes.taker());
    REQUIRE(found);
    CHECK_FALSE(found->keeps_link);
    CHECK(found->first == 0);
    CHECK(old.end().size() == 1);
    CHECK(other.end().size() == 2);
}

TEST_CASE(
    "a server on another machine is a refusal where a lost cache ends the device, and no server is a "
    "failure") {
    const Folder folder;
    const DiskServer good(folder.socket("good"), "disk-a");
    KnownDevice known = device_of(folder.socket("old"));
    known.live.boot_identity->fill('c');
    Heard notes;
    CHECK(find_new_targets({at(folder.socket("good"))}, known, true, notes.taker()));
    known.record.policy.lost_cache = LostCache::fail;
    const auto refused = find_new_targets({at(folder.socket("good"))}, known, true, notes.taker());
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ExitCode::refused);
    const auto none = find_new_targets({at(folder.socket("gone"))}, known, true, notes.taker());
    REQUIRE_FALSE(none);
    CHECK(none.error().code == ExitCode::unreachable);
}
