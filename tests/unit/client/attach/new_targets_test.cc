// Other servers for an attached device, asked for its disk: servers of the test's own, on UNIX sockets.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "client/address/uri.hh"
#include "client/attach/child_process.hh"
#include "client/attach/given_up.hh"
#include "client/attach/new_targets.hh"
#include "client/attach/second_writer.hh"
#include "client/attach/server_search.hh"
#include "client/control/record_file.hh"
#include "common/linux/fd.hh"
#include "common/protocol/constants.hh"
#include "tests/unit/stub_server.hh"

using namespace holdfast;
using namespace holdfast::client;
using namespace stub;
using std::chrono::milliseconds;
using std::chrono::seconds;

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
    const std::string& path() const { return path_.native(); }

private:
    std::filesystem::path path_;
};

// Says which disk its export is, and how large, to whoever asks. Counts who did.
class DiskServer {
public:
    DiskServer(const std::string& path, std::string identity, std::uint64_t bytes = size,
               std::uint32_t largest_request = 0, int dropped = 0)
        : identity_(std::move(identity)),
          bytes_(bytes),
          largest_request_(largest_request),
          dropped_(dropped) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        REQUIRE(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
        REQUIRE(::listen(socket_.get(), 4) == 0);
        thread_ = std::thread([this] {
            for (;;) {
                const Fd peer(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
                if (!peer) return;
                if (dropped_-- <= 0) talk(peer.get());
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
                if (largest_request_ != 0) append_block_sizes(bytes);
            } else {
                return;
            }
            append_reply(bytes, number(8), 1, "");
            if (!send_all(peer, bytes)) return;
        }
    }

    void append_block_sizes(std::vector<std::uint8_t>& bytes) const {
        std::vector<std::uint8_t> info;
        append(info, nbd::be16(3));
        for (const std::uint32_t number : {512U, 4096U, largest_request_}) append(info, nbd::be32(number));
        append_reply(bytes, info_option, 3, std::string(info.begin(), info.end()));
    }

    Fd socket_{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    std::string identity_;
    std::uint64_t bytes_;
    std::uint32_t largest_request_;
    int dropped_;  // number of connections that are closed at once
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
    known.record.session = {1, 2, 3};
    known.record.identifier = identifier_of(known.record.session);
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

// The record of a device that was given up, as its daemon leaves it.
std::string give_up(const Folder& folder, const KnownDevice& known) {
    auto file = RecordFile::open(known.record, folder.path().c_str());
    REQUIRE(file);
    REQUIRE(file->leave_behind(known.live));
    file->remove();
    return folder.socket(given_up_name(known.record));
}

// What a search for the disk at the server there has found.
Found found_at(const std::string& path) {
    const KnownDevice known = device_of(path);
    Found found;
    found.targets = known.record.targets;
    found.link.session = SessionFacts{*known.live.boot_identity, known.live.export_identity};
    return found;
}

// Counts what a search does with it.
class Holder final : public Claimant {
public:
    std::expected<Identity, Failure> take() override {
        if (refusal_) return std::unexpected(*refusal_);
        CHECK_FALSE(held);
        held = true;
        // Another session each time, as another device has.
        return Identity{nbd::Uuid{static_cast<std::uint8_t>(++taken)}, std::nullopt};
    }
    void release() noexcept override { held = false; }

    bool held = false;
    int taken = 0;
    std::optional<Failure> refusal_;
};

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
    CHECK(notes.lines[0].ends_with("; retried later if another server has the disk"));
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

TEST_CASE("of more addresses than a device takes the first are used, and the rest is said to be left out") {
    const Folder folder;
    DiskServer good(folder.socket("good"), "disk-a");
    const KnownDevice known = device_of(folder.socket("old"));
    std::vector<ServerAddress> servers{at(folder.socket("good"))};
    for (int i = 0; i < 299; ++i) servers.push_back(at(folder.socket("gone" + std::to_string(i))));
    Heard notes;
    SUBCASE("at a takeover") {
        const auto found = find_new_targets(servers, known, true, notes.taker());
        REQUIRE(found);
        CHECK(found->targets.size() == 256);
    }
    SUBCASE("at an attach, from a child in the background") {
        const auto done = run_in_background(
            [&](Report& report) -> std::expected<void, Failure> {
                SearchRequest request;
                std::ranges::reverse(servers);  // none of the first can be reached
                request.servers = servers;
                Holder holder;
                const auto found = search(request, holder, report);
                return std::unexpected(found ? Failure{} : found.error());
            },
            notes.taker());
        REQUIRE_FALSE(done);
        CHECK(done.error() == ExitCode::unreachable);
        CHECK(notes.lines.size() == 256 + 2);  // with the last word
    }
    const auto is_warning = [](const std::string& line) {
        return line.find("300 addresses in all, of which the first 256 are used") != std::string::npos;
    };
    CHECK(std::ranges::count_if(notes.lines, is_warning) == 1);
}

TEST_CASE(
    "a search holds the device for each attempt alone, and for the one that succeeds until it is used") {
    const Folder folder;
    DiskServer refusing(folder.socket("refusing"), "disk-a");  // knows no GO
    Holder holder;
    SearchRequest request;
    request.servers = {at(folder.socket("gone")), at(folder.socket("refusing"))};
    request.patience = std::chrono::seconds{1};
    const int nobody = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    const Report report{Fd(nobody)};
    CHECK_FALSE(search(request, holder, report));
    CHECK_FALSE(holder.held);
    CHECK(holder.taken >= 2);
    SUBCASE("and a device that cannot be had ends the search") {
        holder.refusal_ = Failure{ExitCode::busy, "in use"};
        const int before = holder.taken;
        request.patience = std::chrono::seconds{3600};
        const auto found = search(request, holder, report);
        REQUIRE_FALSE(found);
        CHECK(found.error().code == ExitCode::busy);
        CHECK(found.error().text == "in use");
        CHECK(holder.taken == before);
    }
}

TEST_CASE("a server is asked for its largest request, without a claim that would fence the link") {
    const Folder folder;
    DiskServer small(folder.socket("small"), "disk-a", size, 65536 + 512);
    const DeviceRecord record = device_of(folder.socket("small")).record;
    CHECK(ask_request_limit(record.targets[0], record) == 65536);
    CHECK(small.end().empty());
    const DeviceRecord gone = device_of(folder.socket("gone")).record;
    CHECK(ask_request_limit(gone.targets[0], gone) == 0);
}

TEST_CASE("a device that was given up is fenced by its session before its disk is attached again") {
    const Folder folder;
    const std::string path = folder.socket("server");
    DiskServer server(path, "disk-a");
    KnownDevice known = device_of(path);
    known.record.index = 5;
    Found found = found_at(path);
    SUBCASE("under any number, and its record is deleted") {
        const std::string record = give_up(folder, known);
        CHECK(std::filesystem::exists(record));
        CHECK_FALSE(std::filesystem::exists(folder.socket("nbd5.state")));
        REQUIRE(fence_given_up(found, seconds{3}, folder.path().c_str()));
        CHECK_FALSE(std::filesystem::exists(record));
        const auto sessions = server.end();
        REQUIRE(sessions.size() == 1);
        CHECK(sessions[0].substr(0, 3) == "\1\2\3");
    }
    SUBCASE("also where its number was given up with another disk since") {
        const std::string record = give_up(folder, known);
        KnownDevice later = known;
        later.record.session = {4, 5, 6};
        later.record.identifier = identifier_of(later.record.session);
        later.live.export_identity = "disk-b";
        const std::string other = give_up(folder, later);
        REQUIRE(fence_given_up(found, seconds{3}, folder.path().c_str()));
        CHECK_FALSE(std::filesystem::exists(record));
        CHECK(std::filesystem::exists(other));
        CHECK(server.end().size() == 1);
    }
    SUBCASE("by the claim of its own number, where the server fences hosts") {
        known.record.host = nbd::HostRequest{{7}, {8}, 1, 0};
        found.claim.host = nbd::HostRequest{{7}, {8}, 2, 0};
        found.link.session->host_fenced = true;
        const std::string record = give_up(folder, known);
        REQUIRE(fence_given_up(found, seconds{3}, folder.path().c_str()));
        CHECK_FALSE(std::filesystem::exists(record));
        CHECK(server.end().empty());
    }
    SUBCASE("unless it had another disk, or its server machine has restarted") {
        SUBCASE("another disk") { known.live.export_identity = "disk-b"; }
        SUBCASE("another boot") { known.live.boot_identity->fill('c'); }
        const std::string record = give_up(folder, known);
        REQUIRE(fence_given_up(found, seconds{3}, folder.path().c_str()));
        CHECK(std::filesystem::exists(record));
        CHECK(server.end().empty());
    }
    SUBCASE("and where the server does not confirm it, nothing is attached") {
        const std::string record = give_up(folder, known);
        server.end();
        const auto fenced = fence_given_up(found, milliseconds{1}, folder.path().c_str());
        REQUIRE_FALSE(fenced);
        CHECK(fenced.error().text.find("/dev/nbd5, which was given up or detached by force") !=
              std::string::npos);
        CHECK(std::filesystem::exists(record));
    }
}

TEST_CASE("a server that drops the claim of a given-up device is asked again, for a limited time") {
    const Folder folder;
    const std::string path = folder.socket("server");
    DiskServer server(path, "disk-a", size, 0, 2);
    const Found found = found_at(path);
    const std::string record = give_up(folder, device_of(path));
    REQUIRE(fence_given_up(found, seconds{60}, folder.path().c_str()));
    CHECK_FALSE(std::filesystem::exists(record));
    CHECK(server.end().size() == 1);
}

TEST_CASE("a device that was detached by force is fenced at once, or its user is told that it is not") {
    const Folder folder;
    const std::string path = folder.socket("server");
    KnownDevice known = device_of(path);
    known.record.index = 5;
    const auto fence = [&](milliseconds patience = seconds{60}) {
        return fence_released(5, known.record.identifier, patience, folder.path().c_str());
    };
    DiskServer server(path, "disk-a", size, 0, 1);
    SUBCASE("confirmed, at the second attempt") {
        const std::string record = give_up(folder, known);
        CHECK(fence().empty());
        CHECK_FALSE(std::filesystem::exists(record));
        CHECK(server.end().size() == 1);
    }
    SUBCASE("the server machine is another one by now") {
        known.live.boot_identity->fill('c');
        const std::string record = give_up(folder, known);
        CHECK(fence().find("a different server machine") != std::string::npos);
        CHECK(std::filesystem::exists(record));
    }
    SUBCASE("the server is away: the record stays for the next attach") {
        const std::string record = give_up(folder, known);
        server.end();
        const std::string problem = fence(milliseconds{1});
        CHECK(problem.find("may still hold writes of /dev/nbd5") != std::string::npos);
        CHECK(std::filesystem::exists(record));
    }
    SUBCASE("without a record there is nothing to do") {
        CHECK(fence().empty());
        CHECK(server.end().empty());
    }
    SUBCASE("the record of another attachment is none") {
        const std::string record = give_up(folder, known);
        known.record.identifier = identifier_of({4, 5, 6});
        CHECK(fence().empty());
        CHECK(std::filesystem::exists(record));
        CHECK(server.end().empty());
    }
}

TEST_CASE("a disk that another device of this machine writes to is refused a second one") {
    const Folder folder;
    const std::string path = folder.socket("server");
    KnownDevice known = device_of(path);
    known.record.index = 5;
    Found found = found_at(path);
    const std::string block = folder.socket("block");
    std::string backend = known.record.identifier;
    const auto judge = [&] {
        std::filesystem::create_directories(block + "/nbd5");
        std::filesystem::create_directories(block + "/nbd6");
        std::ofstream(block + "/nbd5/backend") << backend << "\n";
        auto file = RecordFile::open(known.record, folder.path().c_str());
        REQUIRE(file);
        REQUIRE(file->save(known.live));
        return take_writers_turn(found,
                                 {folder.path().c_str(), block.c_str(), std::chrono::milliseconds{100}});
    };
    SUBCASE("with the device's name") {
        const auto free = judge();
        REQUIRE_FALSE(free);
        CHECK(free.error().code == ExitCode::busy);
        CHECK(free.error().text.find("already attached for writing as /dev/nbd5") != std::string::npos);
    }
    SUBCASE("but not where it is another disk") {
        known.live.export_identity = "disk-b";
        const auto turn = judge();
        REQUIRE(turn);
        // Until the record of that device is there, the next one waits.
        const auto next = judge();
        REQUIRE_FALSE(next);
        CHECK(next.error().text.find("has been attaching the same disk") != std::string::npos);
    }
    SUBCASE("nor does the attach of one disk wait for that of another") {
        known.live.export_identity = "disk-b";
        const auto turn = judge();
        REQUIRE(turn);
        for (int number = 0; number < 100; ++number) {
            found.link.session->export_identity = std::to_string(number);
            CHECK(judge());
        }
    }
    SUBCASE("nor where another machine names a place of its own alike") {
        known.live.export_identity = found.link.session->export_identity = "device:virtual/block/zd0";
        CHECK_FALSE(judge());
        known.live.boot_identity->fill('c');
        CHECK(judge());
    }
    SUBCASE("nor where it is another disk, whatever came before") {
        known.live.export_identity = "disk-b";
        CHECK(judge());
    }
    SUBCASE("nor where the other device only reads") {
        known.record.server_flags |= nbd::flag_read_only;
        CHECK(judge());
    }
    SUBCASE("nor by a record of a device that is not attached any more, or by another program") {
        backend = "another";
        CHECK(judge());
    }
    SUBCASE("nor where the server states no identity") {
        found.link.session.reset();
        CHECK(judge());
    }
}

TEST_CASE("a record of a read-only device, or of a server without sessions, is not kept") {
    KnownDevice known = device_of("/nowhere");
    CHECK(server_can_fence(known.record, known.live));
    known.live.session_known = false;
    CHECK_FALSE(server_can_fence(known.record, known.live));
    known.live.session_known = true;
    known.record.server_flags |= nbd::flag_read_only;
    CHECK_FALSE(server_can_fence(known.record, known.live));
}
