// What a daemon leaves for its successor.
#include <doctest/doctest.h>

#include "client/control/device_record.hh"

using namespace holdfast;
using namespace holdfast::client;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

DeviceRecord some_record() {
    DeviceRecord record;
    record.index = 3;
    record.session = {1, 2, 3, 255};
    record.identifier = identifier_of(record.session);
    record.block_size = 4096;
    record.server_flags = 0x0d;
    record.policy = {seconds{7}, seconds{20}, seconds{0}, 1, LostCache::fail, seconds{40}, LeaseCare::leave};
    record.carries_root = true;
    record.may_be_lost = true;
    record.attached_at = Monotonic{123456};
    Target target;
    target.endpoint.length = 16;
    reinterpret_cast<unsigned char*>(&target.endpoint.address)[5] = 0xab;
    target.endpoint.text = "10.0.0.1:10809";
    target.export_name = "a name\nwith anything";
    target.uri = "nbd://10.0.0.1/a%20name";
    record.targets = {target, target};
    record.targets[1].export_name.clear();
    LeaseRecord lease;
    lease.interface = "ens3";
    lease.address = 0x0a4d0064;
    lease.client.hardware = {0x52, 0x54, 0, 0x77, 0, 0xff};
    lease.client.hostname = "kelp";
    record.lease = lease;
    record.host = nbd::HostRequest{{0x40, 1}, {0xb0, 2}, 0xffffffffffffffff, 0};
    return record;
}

LiveState some_state() {
    LiveState live;
    live.size = 8ULL << 30;
    live.target = 1;
    live.linked_target = 0;
    live.generation = 4'000'000'000;
    live.session_known = true;
    live.host_fenced = true;
    live.elsewhere_after = Monotonic{4711};
    live.link_socket = "4294967297 0200a1b2 0200;unix";
    live.link_up = true;
    live.writes_stable = true;
    live.boot_identity = nbd::Uuid{9, 8, 7};
    live.export_identity = "LVM-abc";
    live.reconnects = 5;
    live.cache_lost = 1;
    live.request_limit = 64U << 10;
    live.largest_request = 128U << 10;
    live.sectors_before = 1280;
    live.link_changed_at = Monotonic{99};
    live.last_error_at = Monotonic{98};
    live.last_outage = milliseconds{1500};
    live.longest_outage = milliseconds{2500};
    live.longest_stall = milliseconds{3500};
    live.last_error = "connect: Connection refused";
    live.lease = {.server = 0xfffffffe,
                  .obtained_at = milliseconds{123456},
                  .seconds = 3600,
                  .renew_after = 1800,
                  .rebind_after = 3150,
                  .renewals = 17,
                  .problem = "the server says no"};
    return live;
}

std::string both() {
    LiveLines lines;
    add_lines(lines, some_state());
    return to_lines(some_record()) + std::string(lines.view());
}

}  // namespace

TEST_CASE("a report shows as much of an identifier as tells devices apart") {
    CHECK(shortened("holdfast-device:0123456789abcdef0123456789abcdef") == "holdfast-device:01234567");
    CHECK(shortened("holdfast:0123456789abcdef0123456789abcdef") == "holdfast:01234567");
    CHECK(shortened("somebody else's") == "somebody else's");
    CHECK(shortened("") == "");
}

TEST_CASE("a record and its live state are read back as they were written") {
    const auto known = read_known_device(both());
    REQUIRE(known);
    CHECK(known->live == some_state());
    const DeviceRecord record = some_record();
    CHECK(known->record.index == record.index);
    CHECK(known->record.identifier == record.identifier);
    CHECK(known->record.session == record.session);
    CHECK(known->record.block_size == record.block_size);
    CHECK(known->record.server_flags == record.server_flags);
    CHECK(known->record.policy == record.policy);
    CHECK(known->record.carries_root);
    CHECK(known->record.may_be_lost);
    CHECK(known->record.attached_at == record.attached_at);
    CHECK(known->record.lease == record.lease);
    CHECK(known->record.host == record.host);
    REQUIRE(known->record.targets.size() == 2);
    CHECK(known->record.targets[0].export_name == record.targets[0].export_name);
    CHECK(known->record.targets[0].uri == record.targets[0].uri);
    CHECK(known->record.targets[0].endpoint.text == record.targets[0].endpoint.text);
    CHECK(known->record.targets[0].endpoint.length == 16);
    CHECK(reinterpret_cast<const unsigned char*>(&known->record.targets[0].endpoint.address)[5] == 0xab);
    CHECK(known->record.targets[1].export_name.empty());
}

TEST_CASE("a record that is cut off, empty, or of another version is refused with a reason") {
    CHECK_FALSE(read_known_device(""));
    CHECK_FALSE(read_known_device("holdfast-record 99\nindex 0\n"));
    CHECK(read_known_device(to_lines(some_record())).error() == "no size");
    std::string broken = both();
    broken.replace(broken.find("target "), 12, "target zz zz");
    CHECK_FALSE(read_known_device(broken));
    CHECK(read_known_device(both() + "a new line of a later version\n"));
}

TEST_CASE("a host's line is read back, missing from an older record, and refused where it is broken") {
    LiveLines live;
    add_lines(live, some_state());
    const auto read = [&live](const std::string& lines) {
        return read_known_device(lines + std::string(live.view()));
    };
    DeviceRecord record = some_record();
    record.host.reset();
    const std::string without = to_lines(record);
    CHECK_FALSE(read(without)->record.host);
    for (const char* line : {"host \n", "host 00 00 1\n",
                             "host 00000000000000000000000000000000 00000000000000000000000000000000 \n",
                             "host 00000000000000000000000000000000 00000000000000000000000000000000 x\n"})
        CHECK_FALSE(read(without + line));
}

TEST_CASE("a lease's line is read back, and a broken one is refused") {
    DeviceRecord record = some_record();
    LiveLines live;
    add_lines(live, some_state());
    const auto read = [&live](const std::string& lines) {
        return read_known_device(lines + std::string(live.view()));
    };
    record.lease->client.hostname.clear();
    CHECK(read(to_lines(record))->record.lease == record.lease);
    CHECK(to_lines(record).find("lease_software") == std::string::npos);
    for (const DhcpSoftware software : {DhcpSoftware::networkd, DhcpSoftware::dhclient}) {
        record.lease->client.software = software;
        CHECK(read(to_lines(record))->record.lease == record.lease);
    }
    CHECK_FALSE(read(to_lines(record) + "lease_software udhcpc\n"));
    record.lease.reset();
    CHECK_FALSE(read(to_lines(record) + "lease_software networkd\n"));
    CHECK_FALSE(read(to_lines(record))->record.lease);
    for (const char* line :
         {"lease \n", "lease eth0\n", "lease eth0 1 1 zz -\n", "lease eth0 x 1 525400770001 -\n",
          "lease eth0 1 256 525400770001 -\n", "lease eth0 1 1 5254007700010 -\n",
          "lease eth0 1 1 000000000000000000000000000000000000 -\n", "lease eth0 1 1 525400770001 zz\n"})
        CHECK_FALSE(read(to_lines(record) + line));
}

TEST_CASE("an identifier tells devices apart and reveals nothing of the session") {
    const nbd::Uuid session{0xde, 0xad, 0xbe, 0xef, 1};
    const std::string identifier = identifier_of(session);
    CHECK(is_identifier(identifier));
    CHECK(identifier == identifier_of(session));
    CHECK(identifier != identifier_of({0xde, 0xad, 0xbe, 0xef, 2}));
    CHECK(identifier.find("deadbeef") == std::string::npos);
    CHECK_FALSE(session_in(identifier));
    for (const char* other : {"", "rbd:0123", "holdfast:0123", "holdfast:zz000000000000000000000000000000",
                              "holdfast-device:0123", "holdfast-device:"})
        CHECK_FALSE(is_identifier(other));
}

TEST_CASE("a record of an older version has its session in the identifier") {
    DeviceRecord record = some_record();
    record.identifier = "holdfast:" + std::string(nbd::digits_of(record.session).view());
    LiveLines live;
    add_lines(live, some_state());
    std::string lines = to_lines(record) + std::string(live.view());
    const std::size_t at = lines.find("session ");
    lines.erase(at, lines.find('\n', at) + 1 - at);
    const auto known = read_known_device(lines);
    REQUIRE(known);
    CHECK(known->record.session == record.session);
    CHECK(known->record.identifier == record.identifier);
    // It keeps the identifier that the kernel has, and a later reader finds the same.
    const auto again = read_known_device(to_lines(known->record) + std::string(live.view()));
    REQUIRE(again);
    CHECK(again->record.identifier == record.identifier);
    CHECK(again->record.session == record.session);
}

TEST_CASE("a record whose session is not its identifier's, is missing or broken is refused") {
    for (const char* wrong :
         {"session 00000000000000000000000000000001\n", "session 0102\n", "session \n", ""}) {
        std::string lines = both();
        const std::size_t at = lines.find("session ");
        lines.replace(at, lines.find('\n', at) + 1 - at, wrong);
        CHECK_FALSE(read_known_device(lines));
    }
}

TEST_CASE("every server of a record is read, also more than attach takes today") {
    DeviceRecord record = some_record();
    for (int i = 0; i < 400; ++i) record.targets.push_back(record.targets[0]);
    LiveLines live;
    LiveState state = some_state();
    state.target = 300;
    add_lines(live, state);
    const auto known = read_known_device(to_lines(record) + std::string(live.view()));
    REQUIRE(known);
    CHECK(known->record.targets.size() == 402);
    CHECK(known->live.target == 300);
}
