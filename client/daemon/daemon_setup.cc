// Setup of the daemon. The order matters: a step that needs a capability or a path precedes the step that
// gives it up.

#include "client/daemon/daemon_setup.hh"

#include <fmt/core.h>
#include <sys/prctl.h>

#include <algorithm>
#include <utility>

#include "client/process/hardening.hh"
#include "client/process/seal.hh"
#include "common/linux/log.hh"

namespace holdfast::client {
namespace {

bool is_unix_socket(const Target& target) { return target.endpoint.address.ss_family == AF_UNIX; }

// Capabilities to keep. A UNIX socket is a file: without CAP_DAC_OVERRIDE, a socket of another user could be
// connected to during the attach, but never again. Whether CAP_NET_ADMIN (`sockets`) is needed for longer is
// known once the device is taken over.
FurtherNeeds needs_of(const DeviceRecord& record, const LiveState& live) {
    return {.any_file = std::ranges::any_of(record.targets, is_unix_socket),
            .reboot = record.carries_root,
            .sockets = !live.link_socket.empty() && live.link_socket != no_socket};
}

// Opens the folders of UNIX sockets: after switch_root, and while the root disk is unreachable, their paths
// are unusable.
DeviceRecord with_folders(DeviceRecord record) {
    for (Target& target : record.targets) keep_folder(target.endpoint, record.carries_root);
    return record;
}

}  // namespace

DaemonSetup::DaemonSetup(Netlink netlink, SysfsDevice sysfs, DeviceRecord record, const LiveState& live)
    : index_(record.index),
      needs_(needs_of(record, live)),
      daemon_(std::move(netlink), std::move(sysfs), with_folders(std::move(record)), live) {}

Result<void> DaemonSetup::prepare(ProcessTitle& title, ControlGroup group) {
    leave_terminal();
    if (group == ControlGroup::system) leave_control_group();
    log::open("holdfast-client", log::Sink::resident, log::Level::debug);
    if (auto prepared = daemon_.prepare(title); !prepared) {
        daemon_.abandon();
        return prepared;
    }
    for (const std::string& shortcoming : settle_down(needs_))
        log::warning(fmt::format("nbd{}: {}; continuing without", index_, shortcoming));
    title.set(fmt::format("@holdfast-client: nbd{}", index_));
    ::prctl(PR_SET_NAME, fmt::format("holdfast-nbd{}", index_).c_str(), 0, 0, 0);
    return {};
}

Daemon& DaemonSetup::seal() noexcept {
    seal::close();
    return daemon_;
}

}  // namespace holdfast::client
