// Exports that a client may see.
#include <doctest/doctest.h>

#include "server/export/client_exports.hh"

using namespace holdfast;
using namespace holdfast::server;

namespace {

ExportConfig plain_export() {
    ExportConfig config;
    config.name = "root";
    config.path = "/x";
    return config;
}

// A connection that no other fences.
struct Unfenced final : Fenceable {
    void fence() noexcept override {}
    PeerState look_for_peer(std::chrono::steady_clock::time_point) noexcept override {
        return PeerState::answers;
    }
    void look_no_more() noexcept override {}
};

}  // namespace

TEST_CASE("exports are listed only where that is allowed, and only those that the client may have") {
    auto config = std::make_shared<Config>();
    config->exports = {plain_export(), plain_export()};
    config->exports[1].name = "private";
    config->exports[1].authfile = "/tmp/holdfast-no-such-authfile";
    OpenerClient nobody;  // no line: nothing is asked of it
    Shared shared{.opener = nobody};
    const Peer peer{parse_address("10.0.0.1"), "10.0.0.1:1", "10.0.0.1"};
    const Verdicts no_file_read = AccessTable::make({}, nullptr)->judge(*peer.address);
    Unfenced connection;
    const ClientLine line{connection, -1, {}};
    const auto refused = ClientExports(config, shared, {true, {}}, peer, no_file_read, line).list();
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().reply == nbd::OptionReply::err_policy);
    config->allowlist = true;
    config->exports[0].description = "of host 7";
    CHECK(ClientExports(config, shared, {true, {}}, peer, no_file_read, line).list() ==
          std::vector<nbd::ListedExport>{{"root", "of host 7"}});
    CHECK(ClientExports(config, shared, {false, "private"}, peer, no_file_read, line).list().value().empty());
}

TEST_CASE("an export that a client may not have is to it as one that does not exist") {
    auto config = std::make_shared<Config>();
    config->exports = {plain_export()};
    config->exports[0].name = "private";
    config->exports[0].authfile = "/tmp/holdfast-no-such-authfile";
    OpenerClient nobody;  // no line: nothing is asked of it
    Shared shared{.opener = nobody};
    const Peer peer{parse_address("10.0.0.1"), "10.0.0.1:1", "10.0.0.1"};
    const Verdicts no_file_read = AccessTable::make({}, nullptr)->judge(*peer.address);
    Unfenced connection;
    const ClientLine line{connection, -1, {}};
    const auto told = [&](const ListenScope& scope, std::string_view name) {
        ClientExports exports(config, shared, scope, peer, no_file_read, line);
        const auto looked = exports.look(name);
        const auto opened = exports.open(name);
        const auto claimed = exports.claim({{}, 0, 1, name}, std::nullopt);
        REQUIRE_FALSE(looked.has_value());
        CHECK(looked.error().reply == nbd::OptionReply::err_unknown);
        for (const nbd::Refusal& one : {opened.error(), claimed.error()}) {
            CHECK(one.reply == looked.error().reply);
            CHECK(one.text == looked.error().text);
        }
        return looked.error().text;
    };
    CHECK(told({true, {}}, "private") == told({true, {}}, "nothere"));
    CHECK(told({true, "private"}, "") == told({true, {}}, ""));
    CHECK(told({false, "private"}, "private") == told({false, "private"}, "nothere"));
}
