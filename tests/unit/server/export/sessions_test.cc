// Who takes whose place, who waits for whom, and what is remembered.
#include "server/export/sessions.hh"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace holdfast;
using namespace holdfast::server;
using Fence = SessionPlace::Fence;

namespace {

// A connection with both ends of its socket, as it is when it can be fenced.
class Line final : public Fenceable {
public:
    Line() {
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
        ours_.reset(ends[0]);
        clients_.reset(ends[1]);
    }
    void fence() noexcept override {
        ++fenced_;
        (void)::shutdown(ours_.get(), SHUT_RDWR);
    }
    // The server stops, or the client goes.
    void stop() const { REQUIRE(::shutdown(ours_.get(), SHUT_RD) == 0); }
    void hang_up() { clients_.reset(); }
    PeerState look_for_peer(std::chrono::steady_clock::time_point since) noexcept override {
        ++looks_;
        since_ = since;
        return peer;
    }
    void look_no_more() noexcept override { ++looks_ended_; }
    [[nodiscard]] int socket() const { return ours_.get(); }
    [[nodiscard]] int fenced() const { return fenced_; }
    [[nodiscard]] int looks() const { return looks_; }
    [[nodiscard]] int looks_ended() const { return looks_ended_; }

    std::atomic<PeerState> peer = PeerState::answers;

private:
    Fd ours_, clients_;
    int fenced_ = 0;
    std::atomic<int> looks_ = 0;
    int looks_ended_ = 0;
    std::chrono::steady_clock::time_point since_{};
};

const nbd::Uuid mine{1, 2, 3};
SessionKey key(std::uint32_t slot = 0, std::string export_name = "root", nbd::Uuid session = mine) {
    return {session, slot, std::move(export_name)};
}

const Deadline never = std::chrono::steady_clock::now() + std::chrono::hours(1);
const Deadline now = std::chrono::steady_clock::now();

std::unique_ptr<SessionPlace> taken(Sessions& sessions, std::uint32_t generation, Fenceable& line,
                                    const SessionKey& where = key()) {
    auto place = sessions.claim({where, generation, line, "peer " + std::to_string(generation)});
    REQUIRE(place);
    return std::move(*place);
}

}  // namespace

TEST_CASE("the first of a session waits for nobody, also with generation 0") {
    Sessions sessions;
    Line line;
    const auto place = taken(sessions, 0, line);
    CHECK(place->wait(line.socket(), now) == Fence::stands);
    CHECK_FALSE(place->fenced());
    CHECK(line.fenced() == 0);
    CHECK(place->fenced_by_this().empty());
}

TEST_CASE("a higher generation fences the lower one, and waits until that has let go") {
    Sessions sessions;
    Line old_line, new_line;
    auto old_place = taken(sessions, 3, old_line);
    const auto new_place = taken(sessions, 7, new_line);
    CHECK(old_line.fenced() == 1);
    CHECK(new_line.fenced() == 0);
    CHECK(old_place->fenced());
    CHECK(new_place->wait(new_line.socket(), now) == Fence::late);
    old_place->set_unread(4711);
    std::thread disk([&] { old_place.reset(); });
    CHECK(new_place->wait(new_line.socket(), never) == Fence::stands);
    disk.join();
    CHECK(new_place->fenced_by_this() == std::vector{FencedConnection{"peer 3", 3, 4711}});
    CHECK_FALSE(new_place->fenced());
}

TEST_CASE("a generation that is equal or lower is refused and harms nobody") {
    Sessions sessions;
    Line first, second;
    const auto place = taken(sessions, 5, first);
    for (const std::uint32_t generation : {5U, 4U, 0U}) {
        const auto refused = sessions.claim({key(), generation, second, "peer"});
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error().generation == 5);
    }
    CHECK(first.fenced() == 0);
    CHECK(place->wait(first.socket(), now) == Fence::stands);
}

TEST_CASE("other slots, exports and sessions are not concerned") {
    Sessions sessions;
    Line lines[4];
    const SessionKey keys[] = {key(), key(1), key(0, "home"), key(0, "root", {9})};
    std::vector<std::unique_ptr<SessionPlace>> places;
    for (std::size_t i = 0; i < 4; ++i) places.push_back(taken(sessions, 9, lines[i], keys[i]));
    Line newer;
    const auto place = taken(sessions, 10, newer);
    CHECK(lines[0].fenced() == 1);
    for (std::size_t i = 1; i < 4; ++i) CHECK(lines[i].fenced() == 0);
}

TEST_CASE("who waits gives up for a newer one, which waits for both") {
    Sessions sessions;
    Line lines[3];
    auto first = taken(sessions, 1, lines[0]);
    auto second = taken(sessions, 2, lines[1]);
    const auto third = taken(sessions, 3, lines[2]);
    CHECK(second->wait(lines[1].socket(), never) == Fence::overtaken);
    second.reset();
    CHECK(third->wait(lines[2].socket(), now) == Fence::late);
    first.reset();
    CHECK(third->wait(lines[2].socket(), never) == Fence::stands);
    CHECK(third->fenced_by_this() ==
          std::vector{FencedConnection{"peer 2", 2, 0}, FencedConnection{"peer 1", 1, 0}});
}

TEST_CASE("a newer one that comes while an older one waits ends its waiting") {
    Sessions sessions;
    Line lines[3];
    const auto first = taken(sessions, 1, lines[0]);
    const auto second = taken(sessions, 2, lines[1]);
    std::unique_ptr<SessionPlace> third;
    std::thread newer([&] { third = taken(sessions, 3, lines[2]); });
    CHECK(second->wait(lines[1].socket(), never) == Fence::overtaken);
    newer.join();
}

TEST_CASE("nobody waits for a client that has gone, nor when the server stops") {
    Sessions sessions;
    Line old_line, gone, stopped;
    const auto old_place = taken(sessions, 1, old_line);
    auto place = taken(sessions, 2, gone);
    gone.hang_up();
    CHECK(place->wait(gone.socket(), never) == Fence::left);
    place.reset();
    place = taken(sessions, 3, stopped);
    stopped.stop();
    CHECK(place->wait(stopped.socket(), never) == Fence::left);
}

TEST_CASE("a generation is remembered when its connection has gone") {
    Sessions sessions;
    Line line;
    taken(sessions, 5, line).reset();
    CHECK(sessions.size() == 1);
    CHECK(sessions.claim({key(), 5, line, "peer"}).error().generation == 5);
    taken(sessions, 6, line).reset();
    taken(sessions, 0xffffffff, line).reset();
    CHECK(sessions.claim({key(), 0xffffffff, line, "peer"}).error().generation == 0xffffffff);
    CHECK(sessions.size() == 1);
    CHECK(line.fenced() == 0);
}

TEST_CASE("of an export, the slots that were used last are remembered, and those in use never forgotten") {
    Sessions sessions;
    Line line, live_line;
    const auto live = taken(sessions, 5, live_line, key(0));
    taken(sessions, 5, line, key(0, "home")).reset();
    taken(sessions, 5, line, key(1)).reset();
    taken(sessions, 5, line, key(2)).reset();
    taken(sessions, 6, line, key(1)).reset();  // used again: 2 is the oldest now
    for (std::uint32_t slot = 0; slot < Sessions::most_remembered - 1; ++slot)
        taken(sessions, 5, line, key(1000 + slot)).reset();
    CHECK(sessions.size() == Sessions::most_remembered + 2);
    CHECK(sessions.claim({key(1), 5, line, "peer"}).error().generation == 6);
    CHECK(sessions.claim({key(2), 1, line, "peer"}).has_value());
    for (std::uint32_t slot = 0; slot < 3 * Sessions::most_remembered; ++slot)
        taken(sessions, 5, line, key(100'000 + slot)).reset();
    CHECK(sessions.size() == Sessions::most_remembered + 2);
    CHECK(sessions.claim({key(0), 5, line, "peer"}).error().generation == 5);
    CHECK(sessions.claim({key(0, "home"), 5, line, "peer"}).error().generation == 5);
    CHECK(live_line.fenced() == 0);
}

TEST_CASE("any number of connections that claim at once come down to one, the highest") {
    Sessions sessions;
    constexpr std::uint32_t most = 16;
    Line lines[most];
    std::vector<std::thread> threads;
    std::optional<Fence> outcomes[most];
    for (std::uint32_t i = 0; i < most; ++i)
        threads.emplace_back([&, i] {
            auto place = sessions.claim({key(), i, lines[i], "peer"});
            if (!place) return;
            outcomes[i] = (*place)->wait(lines[i].socket(), never);
            if (outcomes[i] == Fence::stands) CHECK((*place)->wait(lines[i].socket(), now) != Fence::late);
        });
    for (std::thread& one : threads) one.join();
    CHECK(outcomes[most - 1] == Fence::stands);
    for (std::uint32_t i = 0; i + 1 < most; ++i)
        CHECK((!outcomes[i] || *outcomes[i] == Fence::stands || *outcomes[i] == Fence::overtaken));
}

// --- hosts ---

namespace {

constexpr nbd::Uuid boot_a{0xa}, boot_b{0xb}, boot_c{0xc};

HostClaim host(nbd::Uuid boot, std::uint64_t attachment, std::string address = "10.0.0.1",
               nbd::Uuid id = {0x77}, std::string disk = "lvm:disk") {
    return {{std::move(disk), id}, boot, attachment, std::move(address)};
}

SessionKey session(std::uint8_t number, std::string export_name = "root") {
    return key(0, std::move(export_name), {number});
}

Sessions::Claimed claim_as(Sessions& sessions, SessionKey where, std::uint32_t generation, Line& line,
                           std::optional<HostClaim> of, Deadline deadline = never) {
    return sessions.claim({std::move(where), generation, line, "peer", std::move(of)}, line.socket(),
                          deadline);
}

// The thread with this number waits for something.
bool is_asleep(pid_t thread) {
    std::ifstream file("/proc/self/task/" + std::to_string(thread) + "/stat");
    std::string text;
    std::getline(file, text);
    const std::size_t name_end = text.rfind(')');
    return thread != 0 && name_end != std::string::npos && text.substr(name_end, 3) == ") S";
}

using Why = ClaimRefusal::Why;
using PeerState = Fenceable::PeerState;

}  // namespace

TEST_CASE("a newer attachment of a host fences the older one, awaits it, and keeps it out for good") {
    Sessions sessions;
    Line old_line, new_line, late_line;
    auto old_place = claim_as(sessions, session(1), 4, old_line, host(boot_a, 10));
    REQUIRE(old_place);
    // Under another name of the export, too: the disk is the same.
    auto new_place = claim_as(sessions, session(2, "again"), 1, new_line, host(boot_a, 11));
    REQUIRE(new_place);
    CHECK(old_line.fenced() == 1);
    CHECK(old_line.looks() == 0);  // one boot is one machine
    CHECK((*old_place)->fenced());
    CHECK((*new_place)->wait(new_line.socket(), now) == Fence::late);
    (*old_place)->set_unread(99);
    std::thread disk([&] { old_place->reset(); });
    CHECK((*new_place)->wait(new_line.socket(), never) == Fence::stands);
    disk.join();
    CHECK((*new_place)->fenced_by_this() == std::vector{FencedConnection{"peer", 4, 99, true}});
    // It cannot come back, with a higher generation, with its host or without.
    CHECK(claim_as(sessions, session(1), 100, late_line, host(boot_a, 10)).error().why == Why::superseded);
    CHECK(claim_as(sessions, session(1), 101, late_line, std::nullopt).error().why == Why::superseded);
    CHECK(new_line.fenced() == 0);
    // The newer one reconnects.
    auto again = claim_as(sessions, session(2, "again"), 2, late_line, host(boot_a, 11));
    REQUIRE(again);
    CHECK(new_line.fenced() == 1);
}

TEST_CASE("a claim of an older attachment that is taken up late is refused, whoever is there") {
    Sessions sessions;
    Line line, late_line;
    auto place = claim_as(sessions, session(2), 1, line, host(boot_a, 11));
    REQUIRE(place);
    for (const std::uint64_t older : {10U, 11U, 0U})
        CHECK(claim_as(sessions, session(1), 5, late_line, host(boot_a, older)).error().why ==
              Why::attachment);
    place->reset();
    CHECK(claim_as(sessions, session(1), 5, late_line, host(boot_a, 10)).error().why == Why::attachment);
    CHECK(line.fenced() == 0);
    CHECK(claim_as(sessions, session(3), 1, late_line, host(boot_a, 12)));
}

TEST_CASE("other hosts, other disks, and clients without a host are not concerned") {
    Sessions sessions;
    Line lines[4], newer;
    const auto other = claim_as(sessions, session(1), 1, lines[0], host(boot_b, 1, "10.0.0.1", {0x78}));
    const auto disk = claim_as(sessions, session(2), 1, lines[1], host(boot_a, 1, "10.0.0.1", {0x77}, "x"));
    const auto nameless = claim_as(sessions, session(3), 1, lines[2], std::nullopt);
    const auto place = claim_as(sessions, session(4), 1, newer, host(boot_a, 9));
    REQUIRE((other && disk && nameless && place));
    CHECK((*place)->wait(newer.socket(), now) == Fence::stands);
    for (const Line& line : {std::cref(lines[0]), std::cref(lines[1]), std::cref(lines[2])})
        CHECK(line.fenced() == 0);
}

TEST_CASE("connections of one session do not fence each other for their host's sake") {
    Sessions sessions;
    Line first, second;
    const auto one = claim_as(sessions, key(0), 1, first, host(boot_a, 5));
    const auto other = claim_as(sessions, key(1), 1, second, host(boot_a, 5));
    REQUIRE((one && other));
    CHECK(first.fenced() == 0);
    CHECK((*other)->wait(second.socket(), now) == Fence::stands);
}

TEST_CASE("every slot of a newer attachment is woken when the older one lets go, not only the last") {
    Sessions sessions;
    Line old_line, lines[2];
    auto old_place = claim_as(sessions, session(1), 1, old_line, host(boot_a, 1));
    REQUIRE(old_place);
    std::vector<std::unique_ptr<SessionPlace>> places;
    std::vector<std::thread> threads;
    std::atomic<pid_t> ids[2] = {};
    Fence outcomes[2] = {Fence::failed, Fence::failed};
    const Deadline soon = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    for (std::uint32_t slot = 0; slot < 2; ++slot) {
        auto place = claim_as(sessions, key(slot, "root", {2}), 1, lines[slot], host(boot_a, 2));
        REQUIRE(place);
        places.push_back(std::move(*place));
    }
    for (std::size_t slot = 0; slot < 2; ++slot)
        threads.emplace_back([&, slot] {
            ids[slot] = ::gettid();
            outcomes[slot] = places[slot]->wait(lines[slot].socket(), soon);
        });
    for (const std::atomic<pid_t>& id : ids) {
        while (!is_asleep(id)) std::this_thread::yield();
    }
    old_place->reset();
    for (std::thread& one : threads) one.join();
    // At the deadline it would be seen anyway.
    CHECK(std::chrono::steady_clock::now() < soon);
    CHECK(outcomes[0] == Fence::stands);
    CHECK(outcomes[1] == Fence::stands);
}

TEST_CASE("a session is new until one of its slots has claimed an export") {
    Sessions sessions;
    Line line;
    const auto first = taken(sessions, 1, line, key(1));
    CHECK(first->is_first());
    CHECK_FALSE(taken(sessions, 1, line, key(0))->is_first());
    CHECK_FALSE(taken(sessions, 2, line, key(0))->is_first());
    CHECK_FALSE(taken(sessions, 1, line, key(0, "home"))->is_first());
    CHECK(taken(sessions, 1, line, key(0, "root", {9}))->is_first());
}

TEST_CASE("a machine that boots again fences its earlier boot, which is gone or silent") {
    for (const PeerState state : {PeerState::gone, PeerState::silent, PeerState::sleeps}) {
        Sessions sessions(std::chrono::milliseconds{1});
        Line old_line, new_line, late_line;
        auto old_place = claim_as(sessions, session(1), 4, old_line, host(boot_a, 10));
        REQUIRE(old_place);
        old_line.peer = state;
        const auto place = claim_as(sessions, session(2), 1, new_line, host(boot_b, 3));
        REQUIRE(place);
        CHECK(old_line.fenced() == 1);
        CHECK((*place)->wait(new_line.socket(), now) == Fence::late);
        old_place->reset();
        CHECK((*place)->wait(new_line.socket(), now) == Fence::stands);
        // What the earlier boot has sent before it ended comes to nothing, also with another session.
        CHECK(claim_as(sessions, session(1), 9, late_line, host(boot_a, 10)).error().why == Why::superseded);
        CHECK(claim_as(sessions, session(5), 1, late_line, host(boot_a, 12)).error().why == Why::superseded);
        CHECK(new_line.fenced() == 0);
    }
}

TEST_CASE("while nothing is known of the earlier boot's machine, its successor waits") {
    Sessions sessions(std::chrono::hours(1));
    Line old_line, new_line, gone_line;
    const auto old_place = claim_as(sessions, session(1), 4, old_line, host(boot_a, 10));
    old_line.peer = PeerState::silent;
    CHECK(claim_as(sessions, session(2), 1, new_line, host(boot_b, 3), now).error().why == Why::late);
    gone_line.hang_up();
    CHECK(claim_as(sessions, session(3), 1, gone_line, host(boot_b, 3)).error().why == Why::left);
    CHECK(old_line.fenced() == 0);
    std::thread reset([&] {
        while (old_line.looks() < 3) std::this_thread::yield();
        old_line.peer = PeerState::gone;
    });
    CHECK(claim_as(sessions, session(2), 1, new_line, host(boot_b, 3)).has_value());
    reset.join();
    CHECK(old_line.fenced() == 1);
}

TEST_CASE("of two live machines with one identity the second is refused, again and again") {
    for (const PeerState state : {PeerState::answers, PeerState::sleeps}) {
        Sessions sessions(std::chrono::milliseconds{1});
        Line line, other_line;
        const auto place = claim_as(sessions, session(1), 4, line, host(boot_a, 10));
        REQUIRE(place);
        line.peer = state;
        for (std::uint32_t generation = 1; generation < 4; ++generation) {
            const auto refused =
                claim_as(sessions, session(2), generation, other_line, host(boot_b, 3, "10.0.0.2"));
            REQUIRE_FALSE(refused.has_value());
            CHECK(refused.error().why == Why::other_alive);
            CHECK(refused.error().text(1).find("(peer)") != std::string::npos);
        }
        CHECK(line.fenced() == 0);
        CHECK(line.looks_ended() == 3);
        CHECK((*place)->wait(line.socket(), now) == Fence::stands);
        // It reconnects as ever.
        Line next_line;
        CHECK(claim_as(sessions, session(1), 5, next_line, host(boot_a, 10)));
    }
    // One that is busy is alive at the same address as well.
    Sessions sessions(std::chrono::milliseconds{1});
    Line line, other_line;
    const auto place = claim_as(sessions, session(1), 4, line, host(boot_a, 10));
    CHECK(claim_as(sessions, session(2), 1, other_line, host(boot_b, 3)).error().why == Why::other_alive);
}

TEST_CASE("two machines of one identity do not take turns: who was superseded stays out") {
    Sessions sessions(std::chrono::milliseconds{1});
    Line first, second, third;
    auto one = claim_as(sessions, session(1), 1, first, host(boot_a, 10, "10.0.0.1"));
    first.peer = PeerState::silent;  // its cable is pulled
    auto other = claim_as(sessions, session(2), 1, second, host(boot_b, 3, "10.0.0.2"));
    REQUIRE((one && other));
    second.peer = PeerState::silent;
    CHECK(claim_as(sessions, session(1), 2, third, host(boot_a, 10, "10.0.0.1")).error().why ==
          Why::superseded);
    CHECK(second.fenced() == 0);
    // Another boot of it may.
    CHECK(claim_as(sessions, session(3), 1, third, host(boot_c, 1, "10.0.0.1")));
}

TEST_CASE("of a disk, the hosts that were used last are remembered, and those in use never forgotten") {
    Sessions sessions;
    Line line, live_line;
    const auto live = claim_as(sessions, session(1), 1, live_line, host(boot_a, 10));
    const auto id = [](std::uint32_t number) {
        return nbd::Uuid{1, static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number)};
    };
    for (std::uint32_t i = 0; i < 2 * Sessions::most_hosts; ++i)
        CHECK(claim_as(sessions, key(i + 10), 1, line, host(boot_a, 10, "10.0.0.1", id(i))));
    CHECK(sessions.hosts() == Sessions::most_hosts + 1);
    CHECK(claim_as(sessions, session(9), 1, line, host(boot_a, 9)).error().why == Why::attachment);
    CHECK(
        claim_as(sessions, session(9), 1, line, host(boot_a, 9, "10.0.0.1", id(2 * Sessions::most_hosts - 1)))
            .error()
            .why == Why::attachment);
    CHECK(live_line.fenced() == 0);
}
