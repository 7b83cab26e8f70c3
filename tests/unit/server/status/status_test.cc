// Counters and what is told of them: the sums, the spellings, the answers of the status socket, and the
// bounds of the log.
#include <doctest/doctest.h>

#include "server/access/admission.hh"
#include "server/access/log_limit.hh"
#include "server/export/counters.hh"
#include "server/status/status_report.hh"
#include "server/status/status_socket.hh"

using namespace holdfast;
using namespace holdfast::server;

namespace {

ConnectionFacts facts(std::string name) {
    return {std::move(name), "192.0.2.7:40000", false,
            "none",          std::nullopt,      std::chrono::system_clock::time_point{}};
}

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

StatusReport example() {
    StatusReport report;
    report.version = "1.2";
    report.pid = 7;
    report.started = StatusReport::Time(std::chrono::seconds(1'795'818'600));
    report.now = report.started + std::chrono::seconds(90);
    report.connections = 2;
    report.handshakes = 1;
    report.max_connections = 1024;
    report.turned_away[1] = 5;
    Tally tally;
    tally.commands[0] = {3, 1, 8192};
    tally.commands[1] = {2, 0, 512};
    tally.in_flight = 1;
    report.exports.push_back({"root \"1\"\n\xff", "/dev/vg0/root", false, 1, 4, tally});
    report.exports.back().full = {.waiting = 2, .waited = 7};
    ConnectionFacts client = facts(report.exports[0].name);
    client.since = report.started;
    client.session = {.id = {0x12, 0x34}, .slot = 2, .generation = 9};
    report.clients.push_back({client, tally});
    return report;
}

}  // namespace

TEST_CASE("a request counts by its command, with its bytes or as an error, and is in flight until then") {
    RequestCounters counters;
    counters.taken_up();
    counters.taken_up();
    CHECK(counters.tally().in_flight == 2);
    counters.finished(0, 4096, true);
    counters.finished(1, 512, false);
    const Tally tally = counters.tally();
    CHECK(tally.in_flight == 0);
    CHECK(tally.requests() == 2);
    CHECK(tally.errors() == 1);
    CHECK(tally.bytes_out() == 4096);
    CHECK(tally.bytes_in() == 0);
}

TEST_CASE("a command that is none counts as another one") {
    RequestCounters counters;
    for (const int number : {8, 9, 65535}) {
        const auto command = static_cast<std::uint16_t>(number);
        counters.taken_up();
        counters.finished(command, 1, false);
    }
    CHECK(counters.tally().commands[8].errors == 3);
    CHECK(counted_command_name(8) == "other");
}

TEST_CASE("what a connection has counted stays with its export when it ends") {
    Statistics statistics;
    {
        Statistics::Connection first(statistics, facts("root"));
        Statistics::Connection second(statistics, facts("root"));
        Statistics::Connection other(statistics, facts("data"));
        for (Statistics::Connection* one : {&first, &second, &other}) {
            one->counters.taken_up();
            one->counters.finished(0, 100, true);
        }
        first.counters.taken_up();
        const Statistics::Snapshot now = statistics.snapshot();
        CHECK(now.connections.size() == 3);
        CHECK(now.exports.at("root").tally.requests() == 2);
        CHECK(now.exports.at("root").tally.in_flight == 1);
    }
    const Statistics::Snapshot later = statistics.snapshot();
    CHECK(later.connections.empty());
    CHECK(later.exports.at("root").connections == 2);
    CHECK(later.exports.at("root").tally.bytes_out() == 200);
    CHECK(later.exports.at("root").tally.in_flight == 0);
    CHECK(later.exports.at("data").tally.requests() == 1);
}

TEST_CASE("the status as JSON escapes what a name may have") {
    const std::string json = to_json(example());
    CHECK(contains(json, R"("name":"root \"1\"\u000a\ufffd")"));
    CHECK(contains(json, R"("started":"2026-11-27T22:30:00Z","uptime_seconds":90)"));
    CHECK(contains(json, R"("session":"12340000","slot":2,"generation":9)"));
    CHECK(contains(json, R"("in_flight":1,"requests":5,"errors":1,"bytes_in":512,"bytes_out":8192)"));
    CHECK(contains(json, R"("maxperaddress":5)"));
    CHECK(contains(json, R"("connections_total":4,"waiting_for_room":2,"waited_for_room_total":7,)"));
    CHECK(json.ends_with("}]}\n"));
}

TEST_CASE("the status for people has no order to a terminal in it") {
    const std::string text = to_text(example());
    CHECK(contains(text, "export root \"1\"?? (/dev/vg0/root): 1 connection, 4 since the start; 5 requests"));
    CHECK(contains(text, "\n    no room on the disk: 2 requests wait\n"));
    CHECK(contains(text, "generation 9"));
    CHECK(contains(text, "turned away: 5 by maxperaddress\n"));
}

TEST_CASE("the status for Prometheus has a type for every family, and escapes labels") {
    const std::string text = to_prometheus(example());
    CHECK(contains(text, "# TYPE holdfast_requests_total counter\n"));
    CHECK(contains(text, "holdfast_requests_total{export=\"root \\\"1\\\"\\n?\",command=\"read\"} 3\n"));
    CHECK(contains(text, "holdfast_requests_in_flight{export=\"root \\\"1\\\"\\n?\"} 1\n"));
    CHECK(contains(text, "holdfast_requests_waiting_for_room{export=\"root \\\"1\\\"\\n?\"} 2\n"));
    CHECK(contains(text, "holdfast_requests_waited_for_room_total{export=\"root \\\"1\\\"\\n?\"} 7\n"));
    CHECK(contains(text, "holdfast_turned_away_total{reason=\"maxperaddress\"} 5\n"));
}

TEST_CASE("the status socket answers GET for its three paths and nothing else") {
    int asked = 0;
    const auto source = [&] {
        ++asked;
        return example();
    };
    CHECK(answer_to("GET /status HTTP/1.1\r\n\r\n", source).starts_with("HTTP/1.0 200 OK\r\n"));
    CHECK(contains(answer_to("GET /status.json HTTP/1.1\r\n\r\n", source), "application/json"));
    CHECK(contains(answer_to("GET /metrics\n\n", source), "version=0.0.4"));
    CHECK(asked == 3);
    for (const char* wrong : {"GET / HTTP/1.1\r\n\r\n", "GET /statusx\r\n\r\n", "GET\r\n\r\n"})
        CHECK_FALSE(contains(answer_to(wrong, source), " 200 "));
    CHECK(answer_to("POST /status HTTP/1.1\r\n\r\n", source).starts_with("HTTP/1.0 405 "));
    CHECK(answer_to("\r\n\r\n", source).starts_with("HTTP/1.0 405 "));
    CHECK(asked == 3);
}

TEST_CASE("a flood of lines is cut to a few a second, and the next line says how many were left out") {
    LogLimit limit;
    const holdfast::Clock::time_point start = holdfast::Clock::now();
    unsigned written = 0;
    for (int i = 0; i < 1000; ++i) written += limit.ask(start).allowed ? 1 : 0;
    CHECK(written == LogLimit::at_once);
    const LogLimit::Verdict later = limit.ask(start + std::chrono::seconds(1));
    CHECK(later.allowed);
    CHECK(later.left_out == 1000 - LogLimit::at_once);
    written = 0;
    for (int i = 0; i < 1000; ++i) written += limit.ask(start + std::chrono::seconds(1)).allowed ? 1 : 0;
    CHECK(written == LogLimit::a_second - 1);
    CHECK(limit.ask(start + std::chrono::hours(1)).left_out == 1000 - written);
}

TEST_CASE("connections are counted by address, and by network where a host has a whole one") {
    PlaceCounts places;
    const auto from = [](std::string_view text) { return parse_address(text); };
    CHECK(places.enter(from("192.0.2.1"), 2));
    CHECK(places.enter(from("192.0.2.1"), 2));
    CHECK_FALSE(places.enter(from("192.0.2.1"), 2));
    CHECK(places.enter(from("192.0.2.2"), 2));
    places.leave(from("192.0.2.1"));
    CHECK(places.enter(from("192.0.2.1"), 2));
    CHECK(places.enter(from("2001:db8:0:1::1"), 1));
    CHECK_FALSE(places.enter(from("2001:db8:0:1:ffff::2"), 1));
    CHECK(places.enter(from("2001:db8:0:2::1"), 1));
    for (int i = 0; i < 5; ++i) CHECK(places.enter(std::nullopt, 1));  // UNIX sockets
}

TEST_CASE("this machine's own addresses are known") {
    for (const char* text : {"127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1"})
        CHECK(is_loopback(*parse_address(text)));
    for (const char* text : {"128.0.0.1", "::2", "::", "10.0.0.127"})
        CHECK_FALSE(is_loopback(*parse_address(text)));
}
