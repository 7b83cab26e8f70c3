// What a new attach may change of a device that is attached already: nothing, but without a word it must not
// be.

#include "client/attach/adoption.hh"
#include "client/address/uri.hh"

#include <doctest/doctest.h>

using namespace holdfast::client;
using namespace std::chrono_literals;

namespace {

ServerAddress server(std::string_view uri) {
    const auto parsed = parse_uri(uri);
    REQUIRE(parsed);
    return *parsed;
}

Target target(std::string uri, std::string endpoint) {
    Target made;
    made.export_name = server(uri).export_name;
    made.uri = std::move(uri);
    made.endpoint.text = std::move(endpoint);
    return made;
}

DeviceRecord some_record() {
    DeviceRecord record;
    record.targets = {target("nbd://Files/x", "10.0.0.1:10809"),
                      target("nbd://[fd00::1]:10810/x", "[fd00::1]:10810"),
                      target("nbd+unix:///x?socket=/run/x.sock", "unix:/run/x.sock")};
    record.block_size = 512;
    return record;
}

}  // namespace

TEST_CASE("adoption: a server is known however it is written") {
    const auto targets = some_record().targets;
    for (const char* uri :
         {"nbd://Files/x", "nbd://files:10809/x", "nbd://10.0.0.1/x", "nbd://10.0.0.1:10809/x",
          "nbd://[fd00:0:0::1]:10810/x", "nbd://[FD00::1]:10810/x", "nbd+unix:///x?socket=/run/x.sock"}) {
        CAPTURE(uri);
        CHECK(is_known(server(uri), targets));
    }
    for (const char* uri :
         {"nbd://files/y", "nbd://files:10810/x", "nbd://10.0.0.2/x", "nbd://[fd00::1]/x", "nbd://files/",
          "nbd://files/X", "nbd+unix:///x?socket=/run/y.sock", "nbd+unix:///y?socket=/run/x.sock"}) {
        CAPTURE(uri);
        CHECK_FALSE(is_known(server(uri), targets));
    }
}

TEST_CASE("adoption: what is asked for and not had is named, with what the device keeps") {
    const DeviceRecord record = some_record();
    Choices chosen;
    CHECK(ignored_by_adoption({}, chosen, record).empty());
    CHECK(ignored_by_adoption({server("nbd://files:10809/x")}, chosen, record).empty());
    chosen.dead_after = record.policy.dead_after;
    chosen.lost_cache = record.policy.lost_cache;
    chosen.wait = 5s;
    chosen.read_only = false;
    CHECK(ignored_by_adoption({}, chosen, record).empty());
    chosen.dead_after = 30s;
    chosen.lost_cache = LostCache::fail;
    chosen.read_only = true;
    const auto lines =
        ignored_by_adoption({server("nbd://files/x"), server("nbd://other/x")}, chosen, record);
    REQUIRE(lines.size() == 4);
    CHECK(lines[0].starts_with("ignoring nbd://other/x: "));
    CHECK(lines[1].starts_with("ignoring dead-after=30: the device keeps dead-after=15"));
    CHECK(lines[2].starts_with("ignoring lost-cache=fail: the device keeps lost-cache=continue"));
    CHECK(lines[3].starts_with("ignoring read-only=true: the device keeps read-only=false"));
}
