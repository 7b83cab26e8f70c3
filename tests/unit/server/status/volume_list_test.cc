// The list of `holdfast-server volumes`: its encoding on the status socket, lvs(8), and both formats.
#include <doctest/doctest.h>

#include "server/status/status_socket.hh"
#include "server/status/volume_list.hh"

using namespace holdfast::server;
using std::chrono::seconds;

namespace {

StatusReport example() {
    StatusReport report;
    const StatusReport::Time start(seconds(1'795'818'600));
    report.exports.push_back({.name = "root\t%1", .path = "/dev/vg0/root", .tally = {}});
    report.exports.push_back({.name = "swap", .path = "/dev/vg0/swap", .tally = {}});
    report.exports[1].last_peer = "192.0.2.8:700";
    report.exports[1].last_seen = start + seconds(60);
    report.exports.push_back({.name = "old", .path = "", .tally = {}});
    ConnectionFacts client;
    client.export_name = report.exports[0].name;
    client.peer = "192.0.2.7:40000";
    client.since = start;
    client.size = 1U << 30;
    report.clients.push_back({client, {}});
    return report;
}

}  // namespace

TEST_CASE("the volumes of a server come through the status socket as they were, whatever their names") {
    const auto rows = decode_volumes(encode_volumes(example()));
    REQUIRE(rows);
    REQUIRE(rows->size() == 3);
    const VolumeRow& root = (*rows)[0];
    CHECK(root.export_name == "root\t%1");
    CHECK(root.path == "/dev/vg0/root");
    CHECK(root.client == "192.0.2.7:40000");
    CHECK(root.offered == 1U << 30);
    CHECK(root.since.time_since_epoch() == seconds(1'795'818'600));
    CHECK(root.last_client.empty());
    CHECK((*rows)[1].client.empty());
    CHECK((*rows)[1].last_client == "192.0.2.8:700");
    CHECK((*rows)[1].last_seen.time_since_epoch() == seconds(1'795'818'660));
    CHECK((*rows)[2].path.empty());
    const std::string answer = answer_to("GET /volumes HTTP/1.0\r\n\r\n", [] { return example(); });
    CHECK(answer.ends_with(encode_volumes(example())));
}

TEST_CASE("an encoding of volumes that this version does not know is refused") {
    CHECK(decode_volumes("")->empty());
    CHECK_FALSE(decode_volumes("root"));
    CHECK_FALSE(decode_volumes("root\t/dev/vg0/root\n"));
    CHECK_FALSE(decode_volumes("root\tp\tc\tmany\t0\t\t0\n"));
    CHECK_FALSE(decode_volumes("root\tp\tc\t1\t0\t\t0"));
}

TEST_CASE("the output of lvs gives name, size and use of active volumes, and odd lines are skipped") {
    const auto volumes = parse_lvs(
        "  vg0,root,134217728,,253,0\n  vg0,thin,1073741824,12.50,253,4\n  vg0,off,4096,,-1,-1\n"
        "  WARNING: something\n  vg0,odd,many,,1,1\n  vg0,odd,1,1;x,1,1\n");
    REQUIRE(volumes.size() == 3);
    CHECK(volumes[0] == LogicalVolume{"vg0/root", 134217728, "", 253, 0});
    CHECK(volumes[1] == LogicalVolume{"vg0/thin", 1073741824, "12.50", 253, 4});
    CHECK(volumes[2].major == -1);
}

TEST_CASE("volumes are a table for a person and an object for a program") {
    auto rows = *decode_volumes(encode_volumes(example()));
    rows[0].volume = "vg0/root";
    rows[0].size = 2ULL << 30;
    rows[0].used = "12.50";
    const std::string text = volumes_text(rows);
    CHECK(
        text.starts_with("EXPORT   PATH           VOLUME    SIZE      USED    CLIENT           CONNECTED "
                         "SINCE       LAST SEEN\n"));
    CHECK(text.find("root?%1  /dev/vg0/root  vg0/root  2048 MiB  12.50%  192.0.2.7:40000  "
                    "2026-11-27T22:30:00Z  now\n") != std::string::npos);
    CHECK(text.find(
              "swap     /dev/vg0/swap  -         -         -       -                -                     "
              "2026-11-27T22:31:00Z 192.0.2.8:700\n") != std::string::npos);
    CHECK(text.find("old      (removed) ") != std::string::npos);
    const std::string json = volumes_json(rows);
    CHECK(json.starts_with(
        R"({"volumes":[{"export":"root\u0009%1","path":"/dev/vg0/root","volume":"vg0/root","size":2147483648,"used_percent":12.50,"client":"192.0.2.7:40000","connected_since":"2026-11-27T22:30:00Z","last_client":null,"last_seen":null},)"));
    CHECK(json.ends_with(
        R"({"export":"old","path":null,"volume":null,"size":null,"used_percent":null,"client":null,"connected_since":null,"last_client":null,"last_seen":null}]})"
        "\n"));
}
