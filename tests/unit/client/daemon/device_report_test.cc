// Report of a device: facts of the record, the live state and the link, and the age of each event.
#include "client/daemon/device_report.hh"

#include <doctest/doctest.h>
#include <unistd.h>

#include "tests/unit/client/daemon/fake_kernel.hh"

using namespace holdfast;
using namespace holdfast::client;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

constexpr Clock::time_point now{hours{1}};

// nbd7, used for half an hour, with its second server.
KeptDevice used_device(std::uint16_t flags = 0) {
    KeptDevice device = fake_device(2);
    DeviceRecord record = device.record;
    record.identifier = "another program's";
    record.block_size = 4096;
    record.server_flags = flags;
    record.attached_at = minutes{30};
    record.targets[1].endpoint.text = "192.0.2.1:10809";
    LiveState live = device.live;
    live.target = 1;
    live.generation = 5;
    live.reconnects = 3;
    live.cache_lost = 2;
    live.link_changed_at = minutes{50};
    live.last_outage = milliseconds{1500};
    live.longest_outage = milliseconds{2500};
    live.export_identity = "disk 1";
    live.boot_identity = nbd::Uuid{0xab};
    return {std::move(record), live};
}

DeviceStatus report(const KeptDevice& device, const LinkView& link = {}) {
    return report_of(device, link, now);
}

}  // namespace

TEST_CASE("a report has the facts of the record and of the server in use") {
    const DeviceStatus status = report(used_device(0x21));
    CHECK(status.index == 7);
    CHECK(status.identifier == "another program's");
    CHECK(status.block_size == 4096);
    CHECK(status.flags == 0x21);
    CHECK_FALSE(status.read_only);
    CHECK(status.servers == 2);
    CHECK(status.server == "nbd://server1/export");
    CHECK(status.peer == "192.0.2.1:10809");
    CHECK(status.size == 1 << 20);
    CHECK(status.export_identity == "disk 1");
    CHECK(status.boot_identity.view().starts_with("ab00"));
    CHECK(status.generation == 5);
    CHECK(status.reconnects == 3);
    CHECK(status.cache_lost == 2);
    CHECK(status.last_outage_ms == 1500);
    CHECK(status.longest_outage_ms == 2500);
    CHECK(report(used_device(nbd::flag_read_only)).read_only);
}

TEST_CASE("times are reported as ages, and an unknown time as none") {
    KeptDevice device = used_device();
    CHECK(report(device).attached_seconds == 1800);
    CHECK(report(device).link_seconds == 600);
    CHECK(report(device).last_error_seconds == 0);
    device.live.last_error = "no route";
    device.live.last_error_at = minutes{59};
    CHECK(report(device).last_error == "no route");
    CHECK(report(device).last_error_seconds == 60);
}

TEST_CASE("a server that has sent no identity has none in the report") {
    KeptDevice device = used_device();
    device.live.export_identity.clear();
    device.live.boot_identity.reset();
    CHECK(report(device).export_identity.empty());
    CHECK(report(device).boot_identity.empty());
}

TEST_CASE("a device is attached while it has a link, which is adopted once that is proved") {
    const KeptDevice device = used_device();
    CHECK(report(device).state == DeviceState::reconnecting);
    LinkView link{.has_link = true, .stalled = seconds{4}, .longest_stall = seconds{9}};
    CHECK(report(device, link).state == DeviceState::attached);
    CHECK(report(device, link).adopted == 0);
    CHECK(report(device, link).connections == 1);
    CHECK(report(device, link).in_flight_age_ms == 4000);
    CHECK(report(device, link).longest_stall_ms == 9000);
    link.proved = true;
    CHECK(report(device, link).adopted == 1);
}

TEST_CASE("a device is fenced if the server fences this machine, or if it cannot write") {
    KeptDevice device = used_device();
    CHECK(report(device).session == "unknown");
    device.live.session_known = true;
    CHECK(report(device).session == "reconnects");
    device.live.host_fenced = true;
    CHECK(report(device).session == "fenced");
    KeptDevice read_only = used_device(nbd::flag_read_only);
    read_only.live.session_known = true;
    CHECK(report(read_only).session == "fenced");
}

TEST_CASE("the report names this process and its memory") {
    DeviceStatus status;
    add_process(status, MemoryUse::open());
    CHECK(status.daemon_pid == static_cast<std::uint64_t>(::getpid()));
    CHECK(status.resident_kib > 0);
}
