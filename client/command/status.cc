// status: queries the daemon; without a live daemon, shows the kernel's information.

#include <errno.h>
#include <fmt/core.h>
#include <unistd.h>

#include <array>
#include <chrono>

#include "client/boot/memory_disk.hh"
#include "client/boot/network_handover.hh"
#include "client/boot/root_overlay.hh"
#include "client/command/boot_files.hh"
#include "client/command/commands.hh"
#include "client/control/control_client.hh"
#include "client/control/device_metrics.hh"
#include "client/control/device_record.hh"
#include "client/control/device_status.hh"
#include "client/control/orders.hh"
#include "client/control/record_file.hh"
#include "client/control/root_disk.hh"
#include "client/kernel/sysfs.hh"
#include "client/link/link.hh"
#include "common/linux/pause.hh"

namespace holdfast::client {
namespace {

constexpr std::chrono::seconds patience{5};
constexpr std::chrono::seconds next_boot_patience{2};

// Reads the public file. A daemon that has just been replaced publishes its own file a moment later.
void take_public_file(DeviceStatus& status, std::string_view backend) {
    constexpr int most_readings = 10;
    for (int reading = 0; reading < most_readings; ++reading) {
        const auto file = read_public_file(status.index);
        const auto now = std::chrono::duration_cast<Monotonic>(Clock::now().time_since_epoch());
        if (file) take_public_lines(status, file->text, file->alive, now);
        if (file && file->alive) return;
        if (!file && (file.error().code != ENOENT || !is_identifier(backend))) break;
        pause_for(std::chrono::milliseconds{100});
    }
    if (status.state == DeviceState::unattended) return;
    status.partial = true;
    status.last_error = "only root may query the daemon";
}

// Returns the status of a device whose daemon did not give it. `error`: the reason; no error if the answer
// was not understood.
DeviceStatus status_without_daemon(std::uint32_t index, const SysfsDevice& sysfs,
                                   const std::optional<SysError>& error) {
    DeviceStatus status;
    status.index = index;
    const std::string backend = sysfs.attribute("backend");
    const int code = error ? error->code : 0;
    const bool ours = is_identifier(backend);
    status.state =
        !ours || code == ENOENT || code == ECONNREFUSED ? DeviceState::unattended : DeviceState::unknown;
    if (ours && code == EACCES) take_public_file(status, backend);
    status.size = sysfs.size();
    status.block_size = sysfs.number("queue/logical_block_size").value_or(0);
    status.read_only = sysfs.number("ro").value_or(0) != 0;
    status.identifier = shortened(backend);
    if (status.state == DeviceState::unknown && code != EACCES)
        status.last_error = error ? LineText(describe_failure(index, *error))
                                  : "invalid answer from the daemon; it may be of another version";
    return status;
}

void take_overlay(DeviceStatus& status) {
    const auto use = root_disk(nbd_devices()) == status.index ? overlay_use() : std::nullopt;
    if (!use) return;
    status.overlay_size = use->size;
    status.overlay_used = use->used;
}

// Asks the server, on a connection of its own.
void take_next_boot(DeviceStatus& status) {
    if (status.state != DeviceState::attached) return;
    const auto published = published_for_root(status.index, Clock::now() + next_boot_patience);
    if (!published) return;
    if (published->next) status.next_kernel = published->next->version;
    status.previous_kernel = published->previous;
}

// With `next_boot`, the server is asked for the kernel of the next boot.
DeviceStatus status_of(std::uint32_t index, bool next_boot = true) {
    DeviceStatus status;
    status.index = index;
    const auto sysfs = SysfsDevice::open(index);
    if (!sysfs || !sysfs->connected()) return status;
    const auto answer = ask(index, Order::status, patience);
    if (!answer) return status_without_daemon(index, *sysfs, answer.error());
    status = from_lines(*answer);
    status.network = describe_handover(index);
    take_overlay(status);
    if (next_boot) take_next_boot(status);
    // Truncated answer, or another version's: the device is attached, or the kernel would report otherwise.
    if (status.state == DeviceState::detached) return status_without_daemon(index, *sysfs, std::nullopt);
    return status;
}

ExitCode code_of(DeviceState state) {
    switch (state) {
        case DeviceState::attached: return ExitCode::ok;
        case DeviceState::reconnecting: return ExitCode::link_down;
        case DeviceState::unattended:
        case DeviceState::unknown: return ExitCode::unknown;
        case DeviceState::detached: break;
    }
    return ExitCode::not_attached;
}

// Orders the exit codes of several devices: a fault precedes an unknown state, which precedes success.
ExitCode worse_of(ExitCode one, ExitCode other) {
    for (const ExitCode code : {ExitCode::link_down, ExitCode::unknown, ExitCode::ok})
        if (one == code || other == code) return code;
    return ExitCode::not_attached;
}

ExitCode print_one(std::uint32_t index, bool json) {
    const DeviceStatus status = status_of(index);
    say(json ? to_json(status) + "\n" : to_text(status));
    return code_of(status.state);
}

std::string nothing_attached() {
    std::array<char, 64> target{};
    if (::readlink(copy_link, target.data(), target.size() - 1) <= 0) return "no nbd device attached\n";
    return fmt::format("no nbd device attached; the root disk was copied to memory as {} (holdfast.toram)\n",
                       target.data());
}

ExitCode print_all(bool json) {
    ExitCode code = ExitCode::not_attached;
    std::string text;
    for (const std::uint32_t index : nbd_devices()) {
        const DeviceStatus status = status_of(index);
        if (status.state == DeviceState::detached) continue;
        code = worse_of(code, code_of(status.state));
        text += text.empty() ? "" : json ? ",\n " : "\n";
        text += json ? to_json(status) : to_text(status);
    }
    if (json)
        say("[" + text + "]\n");
    else
        say(text.empty() ? nothing_attached() : text);
    return code;
}

ExitCode print_metrics(const std::optional<std::uint32_t>& index) {
    ExitCode code = ExitCode::not_attached;
    std::vector<DeviceStatus> found;
    for (const std::uint32_t one : index ? std::vector{*index} : nbd_devices()) {
        found.push_back(status_of(one, false));
        code = worse_of(code, code_of(found.back().state));
    }
    say(to_prometheus(found));
    return code;
}

}  // namespace

ExitCode run_status(const StatusOptions& options) {
    if (options.prometheus) return print_metrics(options.index);
    return options.index ? print_one(*options.index, options.json) : print_all(options.json);
}

}  // namespace holdfast::client
