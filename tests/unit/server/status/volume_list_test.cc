// The list of `holdfast-server volumes`: its encoding on the status socket, lvs(8), and both formats.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <algorithm>

#include "common/golden/volume_name.hh"
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
    CHECK_FALSE(decode_volumes("root\tp\tc\t1\t0\t\t0\n"));  // of an older version
    CHECK_FALSE(decode_volumes("root\tp\tc\tmany\t0\t\t0\t\t0\n"));
    CHECK_FALSE(decode_volumes("root\tp\tc\t1\t0\t\t0\t\t0"));
    CHECK(decode_volumes("root\tp\tc\t1\t0\t\t0\t\t0\n"));
}

TEST_CASE("the output of lvs gives name, size and use of active volumes, and odd lines are skipped") {
    const auto volumes = parse_lvs(
        "  vg0,root,134217728,,253,0,,,,\n  vg0,thin,1073741824,12.50,253,4,pool,,,a,b\n  "
        "vg0,off,4096,,-1,-1,,,,\n"
        "  vg0,pool,2147483648,81.20,253,3,,,7.10,\n  WARNING: something\n  vg0,odd,many,,1,1,,,,\n  "
        "vg0,odd,1,1;x,1,1,,,,\n  vg0,odd,1,,1,1,,,1;x,\n  vg0,odd,1,,1,1,,,\n");
    REQUIRE(volumes.size() == 4);
    CHECK(volumes[0] == LogicalVolume{"vg0/root", 134217728, "", 253, 0});
    CHECK(volumes[1] == LogicalVolume{"vg0/thin", 1073741824, "12.50", 253, 4, "vg0/pool"});
    CHECK(volumes[2].major == -1);
    VolumeRow row;
    CHECK_FALSE(add_volume_facts(row, volumes, 8, 0));
    CHECK(add_volume_facts(row, volumes, 253, 4));
    CHECK((row.volume == "vg0/thin" && row.pool == "vg0/pool" && row.pool_used == "81.20" &&
           row.pool_metadata_used == "7.10" && row.used == "12.50"));
    VolumeRow thick;
    CHECK(add_volume_facts(thick, volumes, 253, 0));
    CHECK((thick.pool.empty() && !thick.pool_used && !thick.used && thick.size == 134217728));
}

TEST_CASE("each volume of a host has a row, connected or not, with its host and its golden volume") {
    StatusReport report;
    const StatusReport::Time start(seconds(1'795'818'600));
    const ConnectionFacts::OwnDisk web1{"/dev/vg0/root-web1", "root-*", "web1"};
    const ConnectionFacts::OwnDisk web2{"/dev/vg0/root-web2", "root-*", "web2"};
    report.exports.push_back({.name = "root-*", .path = "/dev/vg0/root-%n", .tally = {}, .is_virtual = true});
    report.exports.push_back({.name = "home-*", .path = "/dev/vg0/home-%n", .tally = {}, .is_virtual = true});
    report.exports.push_back({.name = "root-web1", .path = web1.path, .tally = {}, .is_virtual = true});
    report.exports.push_back({.name = "root-web2", .path = web2.path, .tally = {}, .is_virtual = true});
    ConnectionFacts client;
    client.export_name = "root-web1";
    client.peer = "192.0.2.7:40000";
    client.since = start;
    client.own = web1;
    report.clients.push_back({client, {}});
    report.own_disks.push_back({"root-web1", web1, "192.0.2.7:30000", start - seconds(60)});
    report.own_disks.push_back({"root-web2", web2, "192.0.2.8:30000", start + seconds(60)});
    auto rows = *decode_volumes(encode_volumes(report));
    REQUIRE(rows.size() == 4);
    const auto volumes = parse_lvs(
        "  vg0,root-web1,4096,1.00,253,4,pool,golden,,holdfast.export=root+2d+2a,holdfast.host=web1\n"
        "  vg0,root-web3,4096,2.00,253,5,pool,golden.1,,holdfast.host=web3,other,holdfast.export=root+2d+2a\n"
        "  vg0,copy,4096,,-1,-1,,,,holdfast.copy_of=vg1/thick,holdfast.export=c,holdfast.host=10.0.0.1\n"
        "  vg0,mine,4096,,253,7,pool,golden,,holdfast.export=root+2d+2a\n"
        "  vg0,golden,4096,3.00,253,6,pool,,,holdfast.golden\n");
    CHECK(add_volume_facts(rows[2], volumes, 253, 4));
    rows = with_made_volumes(rows, volumes);
    const std::string text = volumes_text(rows);
    INFO(text);
    REQUIRE(rows.size() == 5);
    const auto row_of = [&](std::string_view host) {
        const auto found = std::ranges::find(rows, host, &VolumeRow::host);
        REQUIRE(found != rows.end());
        return *found;
    };
    CHECK((row_of("web1").client == client.peer && row_of("web1").golden == "vg0/golden"));
    CHECK((row_of("web1").last_client == "192.0.2.7:30000" && row_of("web1").export_name == "root-*"));
    CHECK((row_of("web2").last_client == "192.0.2.8:30000" && row_of("web2").client.empty()));
    CHECK((row_of("web3").golden == "vg0/golden.1" && row_of("web3").path == "/dev/vg0/root-web3"));
    CHECK((row_of("web3").export_name == "root-*" && row_of("web3").last_client.empty()));
    CHECK((row_of("10.0.0.1").golden == "vg1/thick" && row_of("10.0.0.1").export_name == "c"));
    // Without a volume, the section's own row stays.
    CHECK((row_of("").export_name == "home-*" && row_of("").of_hosts));
    CHECK(
        volumes_json(rows).find(
            R"("export":"root-*","host":"web3","session":null,"path":"/dev/vg0/root-web3","volume":"vg0/root-web3","size":4096,"used_percent":2.00,"golden_of":"vg0/golden.1")") !=
        std::string::npos);
    const std::string prometheus = volumes_prometheus(rows);
    for (const char* host : {"web1", "web3"})
        CHECK(prometheus.find(fmt::format(
                  "holdfast_volume_used_percent{{export=\"root-*\",volume=\"vg0/root-{}\"", host)) !=
              std::string::npos);
    CHECK(holdfast::decoded_word("root+2d+2a") == "root-*");
    CHECK(holdfast::decoded_word("a+2") == "a+2");
    CHECK(holdfast::decoded_word("a+x1+") == "a+x1+");
}

TEST_CASE("the volume of a session has the session in the place of the host, from the server and from LVM") {
    const std::string word(32, 'a');
    const std::string lost(32, 'b');
    StatusReport report;
    report.exports.push_back({.name = "cow", .path = "/dev/vg0/golden", .tally = {}, .is_virtual = true});
    ConnectionFacts client;
    client.export_name = "cow";
    client.peer = "192.0.2.7:40000";
    client.own = ConnectionFacts::OwnDisk{"/dev/vg0/golden+cow-" + word, "cow", word, true, "192.0.2.7"};
    report.clients.push_back({client, {}});
    auto rows = *decode_volumes(encode_volumes(report));
    REQUIRE(rows.size() == 1);
    CHECK((rows[0].of_session && rows[0].host == word));
    rows = with_made_volumes(
        rows, parse_lvs("  vg0,golden+cow-" + lost +
                        ",4096,1.00,-1,-1,pool,golden,,holdfast.export=cow,holdfast.session=" + lost +
                        ",holdfast.idle=1.1\n"));
    REQUIRE(rows.size() == 2);
    CHECK((rows[1].of_session && rows[1].host == lost && rows[1].golden == "vg0/golden"));
    CHECK(volumes_json(rows).find(R"("host":null,"session":")" + lost) != std::string::npos);
}

TEST_CASE("volumes for Prometheus have one series an export, and no figure that is not known") {
    auto rows = *decode_volumes(encode_volumes(example()));
    rows[0].volume = "vg0/root";
    rows[0].pool = "vg0/pool";
    rows[0].pool_used = "81.20";
    rows[0].pool_metadata_used = "12.00";
    rows.insert(rows.begin() + 1, rows[0]);  // a second client of the same export
    const std::string text = volumes_prometheus(rows);
    const std::string labels = R"({export="root?%1",volume="vg0/root",pool="vg0/pool"})";
    const std::string size = "holdfast_volume_size_bytes" + labels + " 1073741824\n";
    CHECK(text.find(size) != std::string::npos);
    CHECK(text.find(size, text.find(size) + 1) == std::string::npos);
    CHECK(text.find("holdfast_volume_pool_used_percent" + labels + " 81.20\n") != std::string::npos);
    CHECK(text.find("holdfast_volume_pool_metadata_used_percent" + labels + " 12.00\n") != std::string::npos);
    CHECK(text.find("holdfast_volume_used_percent{") == std::string::npos);
    CHECK(text.find(R"(holdfast_volume_connected{export="swap",volume="",pool=""} 0)") != std::string::npos);
    CHECK(text.find(R"(holdfast_volume_last_seen_seconds{export="swap",volume="",pool=""} 1795818660)") !=
          std::string::npos);
}

TEST_CASE("a pool is warned of once, from 80 percent of its data or metadata on, and more so from 90") {
    std::vector<VolumeRow> rows(3);
    rows[0].pool = rows[1].pool = "vg0/pool";
    rows[2].pool = "vg0/other";
    CHECK(pool_warnings(rows).empty());
    rows[0].pool_used = rows[1].pool_used = rows[2].pool_used = "79.99";
    rows[0].pool_metadata_used = rows[1].pool_metadata_used = "0.00";
    CHECK(pool_warnings(rows).empty());
    rows[0].pool_used = rows[1].pool_used = "80.00";
    rows[2].pool_used = "100.00";
    rows[2].pool_metadata_used = "89.99";
    CHECK(
        pool_warnings(rows) ==
        std::vector<PoolWarning>{
            {false, "thin pool vg0/pool, data: 80.00% full; run lvextend -L +10G vg0/pool"},
            {true, "thin pool vg0/other, data: 100.00% full; run lvextend -L +10G vg0/other"},
            {false,
             "thin pool vg0/other, metadata: 89.99% full; run lvextend --poolmetadatasize +256M vg0/other"}});
}

TEST_CASE("volumes are a table for a person and an object for a program") {
    auto rows = *decode_volumes(encode_volumes(example()));
    rows[0].volume = "vg0/root";
    rows[0].size = 2ULL << 30;
    rows[0].used = "12.50";
    rows[0].pool = "vg0/pool";
    rows[0].pool_used = "81.20";
    rows[0].pool_metadata_used = "90.00";
    const std::string text = volumes_text(rows);
    CHECK(
        text.starts_with("EXPORT   HOST  PATH           VOLUME    SIZE      USED    GOLDEN OF  POOL          "
                         "   CLIENT           "
                         "CONNECTED SINCE       LAST SEEN\n"));
    CHECK(text.find("root?%1  -     /dev/vg0/root  vg0/root  2048 MiB  12.50%  -          vg0/pool 81.20%  "
                    "192.0.2.7:40000  2026-11-27T22:30:00Z  now\n") != std::string::npos);
    CHECK(text.find(
              "swap     -     /dev/vg0/swap  -         -         -       -          -                -     "
              "           -                     "
              "2026-11-27T22:31:00Z 192.0.2.8:700\n") != std::string::npos);
    CHECK(text.find("old      -     (removed) ") != std::string::npos);
    const std::string json = volumes_json(rows);
    CHECK(json.starts_with(
        R"({"volumes":[{"export":"root\u0009%1","host":null,"session":null,"path":"/dev/vg0/root","volume":"vg0/root","size":2147483648,"used_percent":12.50,"golden_of":null,"pool":"vg0/pool","pool_used_percent":81.20,"pool_metadata_used_percent":90.00,"client":"192.0.2.7:40000","connected_since":"2026-11-27T22:30:00Z","last_client":null,"last_seen":null},)"));
    CHECK(json.ends_with(
        R"({"export":"old","host":null,"session":null,"path":null,"volume":null,"size":null,"used_percent":null,"golden_of":null,"pool":null,"pool_used_percent":null,"pool_metadata_used_percent":null,"client":null,"connected_since":null,"last_client":null,"last_seen":null}]})"
        "\n"));
}
