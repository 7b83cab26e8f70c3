// The two halves of the handshake talking to each other, for every goal of the client and every portion of
// bytes.
#include <doctest/doctest.h>

#include <map>

#include "common/protocol/client_handshake.hh"
#include "common/protocol/server_handshake.hh"
#include "tests/unit/wire_bytes.hh"

using namespace holdfast::nbd;
using namespace wire_bytes;
using Goal = ClientHandshake::Goal;

namespace {

class Directory final : public ExportDirectory {
public:
    std::expected<std::vector<ListedExport>, Refusal> list() override {
        std::vector<ListedExport> listed;
        for (const auto& [name, offer] : exports)
            if (!name.empty()) listed.push_back({name, "described"});
        return listed;
    }
    std::expected<OfferedExport, Refusal> look(std::string_view name) override {
        const auto found = exports.find(std::string(name));
        if (found == exports.end())
            return std::unexpected(Refusal{OptionReply::err_unknown, "no such export"});
        return OfferedExport{found->second, {found->first, {}}};
    }
    std::expected<ClaimAnswer, Refusal> claim(const SessionRequest& request,
                                              const std::optional<HostRequest>& host) override {
        if (const auto found = look(request.export_name); !found) return std::unexpected(found.error());
        if (!knows_sessions) return std::unexpected(Refusal{OptionReply::err_unsup, "what?"});
        claimed = {request.session, request.slot, request.generation, host};
        return ClaimAnswer{{0xb0},
                           "identity of " + std::string(request.export_name.substr(0, 10)),
                           host ? host_fenced | writes_stable : 0};
    }
    std::expected<OfferedExport, Refusal> open(std::string_view name) override { return look(name); }

    [[nodiscard]] std::vector<std::string> names() {
        std::vector<std::string> all;
        for (const auto listed = list(); const ListedExport& one : *listed) all.push_back(one.name);
        return all;
    }

    bool knows_sessions = true;
    SessionClaim claimed;
    std::map<std::string, Offer> exports{
        {"", {4096, flag_read_only, {}}},
        {"root", {1ULL << 40, flag_send_flush | flag_send_trim, {512, 4096, 32 << 20}}},
        {std::string(4096, 'n'), {0, flag_has_flags, {4096, 65536, 1 << 20}}},
    };
};

// Carries bytes both ways, `portion` at a time, until neither has anything to say that the other wants.
void converse(ClientHandshake& client, ServerHandshake& server, std::size_t portion) {
    const auto carry = [portion](auto& from, auto& to) {
        const std::size_t count = std::min({portion, from.output().size(), to.wanted()});
        to.receive(from.output().first(count));
        from.sent(count);
        return count > 0;
    };
    for (int rounds = 0; rounds < 1'000'000; ++rounds) {
        const bool to_client = carry(server, client);
        const bool to_server = carry(client, server);
        if (!to_client && !to_server) return;
    }
    FAIL("the handshake does not end");
}

constexpr std::size_t portions[] = {1, 2, 5, 20, 4096, SIZE_MAX};

}  // namespace

TEST_CASE("GO brings both sides to the same offer, and leaves nothing unread") {
    Directory directory;
    for (const auto& [name, offer] : directory.exports)
        for (const std::size_t portion : portions) {
            ClientHandshake client(Goal::go, name);
            ServerHandshake server(directory);
            converse(client, server, portion);
            REQUIRE(client.state() == ClientHandshake::State::done);
            REQUIRE(server.state() == ServerHandshake::State::transmission);
            CHECK(client.output().empty());
            CHECK(server.output().empty());
            CHECK(server.export_name() == name);
            CHECK(client.offer().size == offer.size);
            CHECK(client.offer().flags == (offer.flags | flag_has_flags));
            CHECK(client.offer().flags == server.offer().flags);
            CHECK(client.block_sizes_given());
            CHECK(client.offer().block_sizes == offer.block_sizes);
        }
}

TEST_CASE("GO with a claim brings over the session and both identities, where the server knows it") {
    const SessionClaim claim{{1, 2, 3}, 4, 0x01020304};
    for (const bool known : {true, false})
        for (const std::size_t portion : portions) {
            Directory directory;
            directory.knows_sessions = known;
            ClientHandshake client(Goal::go, "root", claim);
            ServerHandshake server(directory);
            converse(client, server, portion);
            REQUIRE(client.state() == ClientHandshake::State::done);
            REQUIRE(server.state() == ServerHandshake::State::transmission);
            CHECK(client.output().empty());
            CHECK(server.output().empty());
            CHECK(client.session().has_value() == known);
            CHECK(client.offer().size == 1ULL << 40);
            if (!known) continue;
            CHECK(directory.claimed.session == claim.session);
            CHECK(directory.claimed.slot == 4);
            CHECK(directory.claimed.generation == 0x01020304);
            CHECK(client.session()->boot_identity == Uuid{0xb0});
            CHECK(client.session()->export_identity == "identity of root");
        }
}

TEST_CASE("a claim that names its host brings it over, and the answer back") {
    const HostRequest host{{7, 8}, {9}, 0x0102030405060708, 0x80000001};
    for (const bool known : {true, false})
        for (const std::size_t portion : portions) {
            Directory directory;
            directory.knows_sessions = known;
            ClientHandshake client(Goal::go, "root", SessionClaim{{1, 2, 3}, 4, 5, host});
            ServerHandshake server(directory);
            converse(client, server, portion);
            REQUIRE(client.state() == ClientHandshake::State::done);
            REQUIRE(server.state() == ServerHandshake::State::transmission);
            CHECK(client.output().empty());
            CHECK(server.output().empty());
            CHECK(client.host().has_value() == known);
            if (!known) continue;
            CHECK(directory.claimed.host == host);
            CHECK(client.host() == HostAnswer{host_fenced | writes_stable});
        }
}

TEST_CASE("INFO shows the same offer and parts in peace") {
    Directory directory;
    for (const std::size_t portion : portions) {
        ClientHandshake client(Goal::info, "root");
        ServerHandshake server(directory);
        converse(client, server, portion);
        REQUIRE(client.state() == ClientHandshake::State::done);
        CHECK(client.offer().size == 1ULL << 40);
        CHECK(client.offer().block_sizes.minimum == 512);
        CHECK(server.state() == ServerHandshake::State::ended);
    }
}

TEST_CASE("LIST shows every export and parts in peace") {
    Directory directory;
    for (const std::size_t portion : portions) {
        std::vector<std::string> names;
        ClientHandshake client([&](std::string_view name, std::string_view description) {
            names.emplace_back(name);
            CHECK(description == "described");
        });
        ServerHandshake server(directory);
        converse(client, server, portion);
        REQUIRE(client.state() == ClientHandshake::State::done);
        CHECK(names == directory.names());
        CHECK(server.state() == ServerHandshake::State::ended);
    }
}

TEST_CASE("an unknown export is refused to GO and INFO with the server's words, and both part in peace") {
    Directory directory;
    for (const Goal goal : {Goal::go, Goal::info})
        for (const std::size_t portion : portions) {
            ClientHandshake client(goal, "nowhere");
            ServerHandshake server(directory);
            converse(client, server, portion);
            CHECK(client.state() == ClientHandshake::State::refused);
            CHECK(client.refusal() == OptionReply::err_unknown);
            CHECK(client.text() == "no such export");
            CHECK(server.state() == ServerHandshake::State::ended);
        }
}

TEST_CASE("a byte that is changed on the way does neither side harm") {
    std::mt19937_64 random(20);
    Directory directory;
    for (int i = 0; i < 20'000; ++i) {
        std::optional<SessionClaim> claim =
            random() % 2 == 0 ? std::optional(SessionClaim{{1}, 2, 3}) : std::nullopt;
        if (claim && random() % 2 == 0) claim->host = HostRequest{{4}, {5}, 6, 0};
        ClientHandshake client(static_cast<Goal>(random() % 2), "root", claim);
        ServerHandshake server(directory);
        std::uint64_t until_hit = random() % 150;
        const auto carry = [&](auto& from, auto& to) {
            if (from.output().empty() || to.wanted() == 0) return false;
            std::uint8_t byte = from.output().front();
            if (until_hit-- == 0) byte ^= static_cast<std::uint8_t>(1U << (random() % 8));
            to.receive({&byte, 1});
            from.sent(1);
            return true;
        };
        int rounds = 0;
        while (carry(server, client) | carry(client, server)) REQUIRE(++rounds < 100'000);
    }
}
