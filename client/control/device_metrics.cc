// Each family is a line of a table: its text, and the function that takes the sample from a device's status.

#include "client/control/device_metrics.hh"

#include <fmt/core.h>

#include <optional>

namespace holdfast::client {
namespace {

using Sample = std::optional<std::uint64_t>;

struct Family {
    const char* name;
    const char* type;
    const char* help;
    Sample (*of)(const DeviceStatus&);
    bool in_milliseconds = false;  // the sample; the family is in seconds
};

bool knows_all(const DeviceStatus& status) {
    return !status.partial &&
           (status.state == DeviceState::attached || status.state == DeviceState::reconnecting);
}

template <std::uint64_t DeviceStatus::*number>
Sample plain(const DeviceStatus& status) {
    return knows_all(status) ? Sample(status.*number) : std::nullopt;
}

Sample link_is_up(const DeviceStatus& status) {
    if (status.state == DeviceState::attached) return 1;
    return status.state == DeviceState::reconnecting ? Sample(0) : std::nullopt;
}

Sample daemon_runs(const DeviceStatus& status) {
    if (status.state == DeviceState::unknown) return std::nullopt;
    return status.state == DeviceState::unattended ? 0 : 1;
}

Sample lease_left(const DeviceStatus& status) {
    constexpr std::uint64_t for_ever = 4'294'967'295;
    if (!knows_all(status) || status.interface.view().empty() || status.lease_seconds == for_ever)
        return std::nullopt;
    return status.lease_left_seconds;
}

template <std::uint64_t DeviceStatus::*number>
Sample of_overlay(const DeviceStatus& status) {
    return status.overlay_size == 0 ? std::nullopt : Sample(status.*number);
}

constexpr Family families[] = {
    {"holdfast_client_link_up", "gauge", "1: the link to the server is up.", link_is_up},
    {"holdfast_client_daemon_up", "gauge", "1: a daemon keeps the device.", daemon_runs},
    {"holdfast_client_size_bytes", "gauge", "Size of the disk.", plain<&DeviceStatus::size>},
    {"holdfast_client_reconnects_total", "counter", "Links made since the first one.",
     plain<&DeviceStatus::reconnects>},
    {"holdfast_client_link_seconds", "gauge", "Time since the link last came up or went down.",
     plain<&DeviceStatus::link_seconds>},
    {"holdfast_client_last_outage_seconds", "gauge", "Length of the last outage that has ended.",
     plain<&DeviceStatus::last_outage_ms>, true},
    {"holdfast_client_longest_outage_seconds", "gauge", "Length of the longest outage that has ended.",
     plain<&DeviceStatus::longest_outage_ms>, true},
    {"holdfast_client_longest_stall_seconds", "gauge", "Longest time in which no request was answered.",
     plain<&DeviceStatus::longest_stall_ms>, true},
    {"holdfast_client_requests_in_flight", "gauge", "Requests that were sent and not answered.",
     plain<&DeviceStatus::in_flight>},
    {"holdfast_client_requests_waited_seconds", "gauge",
     "Time since the last answer, with requests in flight.", plain<&DeviceStatus::in_flight_age_ms>, true},
    {"holdfast_client_cache_lost_total", "counter", "Restarts of a server's machine with unflushed writes.",
     plain<&DeviceStatus::cache_lost>},
    {"holdfast_client_lease_left_seconds", "gauge", "Rest of the DHCP lease of the disk's address.",
     lease_left},
    {"holdfast_client_overlay_size_bytes", "gauge", "Memory for changes of the root file system.",
     of_overlay<&DeviceStatus::overlay_size>},
    {"holdfast_client_overlay_used_bytes", "gauge", "Memory that changes of the root file system have.",
     of_overlay<&DeviceStatus::overlay_used>},
};

}  // namespace

std::string to_prometheus(std::span<const DeviceStatus> devices) {
    std::string text;
    for (const Family& family : families) {
        std::string samples;
        for (const DeviceStatus& status : devices) {
            if (status.state == DeviceState::detached) continue;
            const Sample sample = family.of(status);
            if (!sample) continue;
            samples += fmt::format("{}{{device=\"nbd{}\"}} ", family.name, status.index);
            samples += family.in_milliseconds ? fmt::format("{}.{:03}\n", *sample / 1000, *sample % 1000)
                                              : fmt::format("{}\n", *sample);
        }
        if (!samples.empty())
            text += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n{3}", family.name, family.help, family.type,
                                samples);
    }
    return text;
}

}  // namespace holdfast::client
