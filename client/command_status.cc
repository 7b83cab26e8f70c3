// status: asks the daemon; where none lives, tells what the kernel knows.

#include <errno.h>
#include <fmt/format.h>

#include <chrono>

#include "client/commands.hh"
#include "client/control.hh"
#include "client/network_handover.hh"
#include "client/record.hh"
#include "client/status.hh"
#include "client/sysfs.hh"

namespace holdfast::client {
namespace {

constexpr std::chrono::seconds patience{5};

DeviceStatus status_of(std::uint32_t index) {
    DeviceStatus status;
    status.index = index;
    const auto sysfs = SysfsDevice::open(index);
    if (!sysfs || !sysfs->connected()) return status;
    const auto answer = ask(index, Order::status, patience);
    if (answer) {
        status = from_lines(*answer);
        status.network = describe_handover(index);
        return status;
    }
    status.state = DeviceState::unattended;
    status.size = sysfs->size();
    status.block_size = sysfs->number("queue/logical_block_size").value_or(0);
    status.read_only = sysfs->number("ro").value_or(0) != 0;
    status.identifier = shortened(sysfs->attribute("backend"));
    const int code = answer.error().code;
    // EACCES: the folder is root's. A silent daemon is worth a word; a missing one is what `unattended` says.
    if (code == EACCES)
        status.last_error = "only root may ask its daemon";
    else if (code != ENOENT && code != ECONNREFUSED)
        status.last_error = answer.error().message();
    return status;
}

ExitCode code_of(DeviceState state) {
    switch (state) {
        case DeviceState::attached:
        case DeviceState::unattended: return ExitCode::ok;
        case DeviceState::reconnecting: return ExitCode::link_down;
        case DeviceState::detached: break;
    }
    return ExitCode::not_attached;
}

ExitCode print_one(std::uint32_t index, bool json) {
    const DeviceStatus status = status_of(index);
    say(json ? to_json(status) + "\n" : to_text(status));
    return code_of(status.state);
}

ExitCode print_all(bool json) {
    ExitCode code = ExitCode::not_attached;
    std::string text;
    for (const std::uint32_t index : nbd_devices()) {
        const DeviceStatus status = status_of(index);
        if (status.state == DeviceState::detached) continue;
        if (code != ExitCode::link_down) code = code_of(status.state);
        text += text.empty() ? "" : json ? ",\n " : "\n";
        text += json ? to_json(status) : to_text(status);
    }
    if (json)
        say("[" + text + "]\n");
    else
        say(text.empty() ? "no nbd device is attached\n" : text);
    return code;
}

}  // namespace

ExitCode run_status(const StatusOptions& options) {
    return options.index ? print_one(*options.index, options.json) : print_all(options.json);
}

}  // namespace holdfast::client
