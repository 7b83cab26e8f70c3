// Copies facts, and turns times into durations.

#include "client/daemon/device_report.hh"

#include <unistd.h>

namespace holdfast::client {
namespace {

using Time = std::chrono::steady_clock::time_point;

std::uint64_t seconds_since(Monotonic then, Time now) noexcept {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::seconds>(since_boot(now) - then).count());
}

std::uint64_t number_of(std::chrono::milliseconds duration) noexcept {
    return static_cast<std::uint64_t>(duration.count());
}

void add_record(DeviceStatus& status, const DeviceRecord& record, Time now) {
    status.index = record.index;
    status.identifier = shortened(record.identifier);
    status.block_size = record.block_size;
    status.flags = record.server_flags;
    status.read_only = (record.server_flags & nbd::flag_read_only) != 0;
    status.servers = record.targets.size();
    status.attached_seconds = seconds_since(record.attached_at, now);
}

void add_live(DeviceStatus& status, const LiveState& live, Time now) {
    status.export_identity = live.export_identity.view();
    if (live.boot_identity) status.boot_identity = nbd::digits_of(*live.boot_identity).view();
    status.last_error = live.last_error;
    if (live.last_error_at.count() != 0) status.last_error_seconds = seconds_since(live.last_error_at, now);
    status.size = live.size;
    status.session = fencing_word(live.session_known, live.host_fenced || status.read_only);
    status.link_seconds = seconds_since(live.link_changed_at, now);
    status.generation = live.generation;
    status.reconnects = live.reconnects;
    status.last_outage_ms = number_of(live.last_outage);
    status.longest_outage_ms = number_of(live.longest_outage);
    status.cache_lost = live.cache_lost;
}

}  // namespace

DeviceStatus report_of(const KeptDevice& device, const LinkView& link, Time now) {
    DeviceStatus status;
    add_record(status, device.record, now);
    add_live(status, device.live, now);
    status.state = link.has_link ? DeviceState::attached : DeviceState::reconnecting;
    status.server = device.target().uri;
    status.peer = device.target().endpoint.text;
    status.connections = 1;
    status.adopted = link.proved ? 1 : 0;
    status.longest_stall_ms = number_of(link.longest_stall);
    status.in_flight_age_ms = number_of(link.stalled);
    return status;
}

void add_process(DeviceStatus& status, const MemoryUse& use) {
    const MemoryUse::Amounts memory = use.read();
    status.daemon_pid = static_cast<std::uint64_t>(::getpid());
    status.locked_kib = memory.locked;
    status.resident_kib = memory.resident;
}

}  // namespace holdfast::client
