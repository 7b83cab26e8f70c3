// Who takes whose place, who waits for whom, and what is remembered.
#include "server/sessions.hh"

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <optional>
#include <string>
#include <thread>

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
    [[nodiscard]] int socket() const { return ours_.get(); }
    [[nodiscard]] int fenced() const { return fenced_; }

private:
    Fd ours_, clients_;
    int fenced_ = 0;
};

const nbd::Uuid mine{1, 2, 3};
SessionKey key(std::uint32_t slot = 0, std::string export_name = "root", nbd::Uuid session = mine) {
    return {session, slot, std::move(export_name)};
}

const Deadline never = std::chrono::steady_clock::now() + std::chrono::hours(1);
const Deadline now = std::chrono::steady_clock::now();

std::unique_ptr<SessionPlace> taken(Sessions& sessions, std::uint32_t generation, Fenceable& line,
                                    const SessionKey& where = key()) {
    auto place = sessions.claim(where, generation, line, "peer " + std::to_string(generation));
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
        const auto refused = sessions.claim(key(), generation, second, "peer");
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error() == 5);
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
    CHECK(sessions.claim(key(), 5, line, "peer").error() == 5);
    taken(sessions, 6, line).reset();
    taken(sessions, 0xffffffff, line).reset();
    CHECK(sessions.claim(key(), 0xffffffff, line, "peer").error() == 0xffffffff);
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
    CHECK(sessions.claim(key(1), 5, line, "peer").error() == 6);
    CHECK(sessions.claim(key(2), 1, line, "peer").has_value());
    for (std::uint32_t slot = 0; slot < 3 * Sessions::most_remembered; ++slot)
        taken(sessions, 5, line, key(100'000 + slot)).reset();
    CHECK(sessions.size() == Sessions::most_remembered + 2);
    CHECK(sessions.claim(key(0), 5, line, "peer").error() == 5);
    CHECK(sessions.claim(key(0, "home"), 5, line, "peer").error() == 5);
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
            auto place = sessions.claim(key(), i, lines[i], "peer");
            if (!place) return;
            outcomes[i] = (*place)->wait(lines[i].socket(), never);
            if (outcomes[i] == Fence::stands) CHECK((*place)->wait(lines[i].socket(), now) != Fence::late);
        });
    for (std::thread& one : threads) one.join();
    CHECK(outcomes[most - 1] == Fence::stands);
    for (std::uint32_t i = 0; i + 1 < most; ++i)
        CHECK((!outcomes[i] || *outcomes[i] == Fence::stands || *outcomes[i] == Fence::overtaken));
}
