// Status report from configuration and counters.
#include <doctest/doctest.h>

#include "server/status/server_report.hh"

using namespace holdfast::server;

TEST_CASE("a report lists the exports of the configuration, and then those that only clients still use") {
    OpenerClient nobody;  // no line: nothing is asked of it
    Shared shared{.opener = nobody};
    Config config;
    config.maxconnections = 7;
    config.exports.resize(2);
    config.exports[0].name = "root";
    config.exports[0].path = "/new";
    config.exports[1].name = "home";
    config.exports[1].path = "/home/%s";
    const auto since = std::chrono::system_clock::time_point();
    const Statistics::Connection removed(shared.statistics, {"gone", "a:1", true, "none", {}, since});
    const Statistics::Connection present(shared.statistics, {"root", "b:1", false, "none", {}, since});
    CHECK_FALSE(shared.disks.enter("root", {{}, "/old", "b", false}));
    shared.statistics.turned_away(TurnedAway::handshakes);
    const StatusReport report = make_report(config, shared, {true, since, 5, 3});
    CHECK(report.stopping);
    CHECK(report.connections == 5);
    CHECK(report.handshakes == 3);
    CHECK(report.max_connections == 7);
    CHECK(report.turned_away[static_cast<std::size_t>(TurnedAway::handshakes)] == 1);
    REQUIRE(report.exports.size() == 3);
    CHECK(report.exports[0].name == "root");
    CHECK(report.exports[0].connections == 1);
    CHECK(report.exports[0].old_path == "/old");
    CHECK(report.exports[0].old_connections == 1);
    CHECK(report.exports[1].name == "home");
    CHECK(report.exports[1].old_path.empty());
    CHECK(report.exports[2].name == "gone");
    CHECK(report.exports[2].path.empty());
    CHECK(report.clients.size() == 2);
}
