// Status of devices in the text format of Prometheus.
#include <doctest/doctest.h>

#include <array>
#include <string>

#include "client/control/device_metrics.hh"

using namespace holdfast::client;

namespace {

DeviceStatus attached(std::uint32_t index) {
    DeviceStatus status;
    status.index = index;
    status.state = DeviceState::attached;
    status.size = 1 << 20;
    status.reconnects = 3;
    status.last_outage_ms = 12'034;
    return status;
}

bool has(const std::string& text, const std::string& line) {
    return ("\n" + text).contains("\n" + line + "\n");
}

}  // namespace

TEST_CASE("each device has a sample in each family, and each family one head") {
    const std::string text = to_prometheus(std::array{attached(0), attached(12)});
    for (const char* const device : {"nbd0", "nbd12"}) {
        const std::string label = std::string("{device=\"") + device + "\"} ";
        CHECK(has(text, "holdfast_client_link_up" + label + "1"));
        CHECK(has(text, "holdfast_client_daemon_up" + label + "1"));
        CHECK(has(text, "holdfast_client_size_bytes" + label + "1048576"));
        CHECK(has(text, "holdfast_client_reconnects_total" + label + "3"));
        CHECK(has(text, "holdfast_client_last_outage_seconds" + label + "12.034"));
        CHECK(has(text, "holdfast_client_longest_stall_seconds" + label + "0.000"));
    }
    CHECK(has(text, "# TYPE holdfast_client_reconnects_total counter"));
    const std::string head = "# TYPE holdfast_client_link_up ";
    CHECK(text.find(head) == text.rfind(head));
    CHECK_FALSE(text.contains("lease"));
    CHECK_FALSE(text.contains("overlay"));
}

TEST_CASE("what is not known has no sample") {
    DeviceStatus unattended = attached(0);
    unattended.state = DeviceState::unattended;
    CHECK(to_prometheus({&unattended, 1}).contains("holdfast_client_daemon_up{device=\"nbd0\"} 0\n"));
    CHECK_FALSE(to_prometheus({&unattended, 1}).contains("link"));
    DeviceStatus unknown = attached(0);
    unknown.state = DeviceState::unknown;
    CHECK(to_prometheus({&unknown, 1}).empty());
    DeviceStatus reconnecting = attached(0);
    reconnecting.state = DeviceState::reconnecting;
    CHECK(has(to_prometheus({&reconnecting, 1}), "holdfast_client_link_up{device=\"nbd0\"} 0"));
    DeviceStatus partial = attached(0);
    partial.partial = true;
    CHECK_FALSE(to_prometheus({&partial, 1}).contains("reconnects"));
    DeviceStatus detached;
    CHECK(to_prometheus({&detached, 1}).empty());
}

TEST_CASE("a lease and an overlay are told where there are any") {
    DeviceStatus status = attached(1);
    status.interface = "eth0";
    status.lease_seconds = 3600;
    status.lease_left_seconds = 1800;
    status.overlay_size = 4096;
    const std::string text = to_prometheus({&status, 1});
    CHECK(has(text, "holdfast_client_lease_left_seconds{device=\"nbd1\"} 1800"));
    CHECK(has(text, "holdfast_client_overlay_used_bytes{device=\"nbd1\"} 0"));
    status.lease_seconds = 4'294'967'295;
    CHECK_FALSE(to_prometheus({&status, 1}).contains("lease"));
}
