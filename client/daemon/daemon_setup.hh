// Transition from an ordinary process to a daemon that needs no further resources.
#pragma once

#include "client/daemon/daemon.hh"
#include "client/process/capabilities.hh"
#include "client/process/control_group.hh"
#include "client/process/process_title.hh"

namespace holdfast::client {

class DaemonSetup {
public:
    DaemonSetup(Netlink netlink, SysfsDevice sysfs, DeviceRecord record, const LiveState& live);
    // Leaves the terminal, opens the daemon's resources, locks memory, gives up capabilities, marks the
    // process. Failures of optional steps are logged. In a service, the caller has chosen the control group
    // already.
    [[nodiscard]] Result<void> prepare(ProcessTitle& title, ControlGroup group);
    // Forbids allocations from now on. The daemon is not in charge yet.
    [[nodiscard]] Daemon& seal() noexcept;

private:
    std::uint32_t index_;
    FurtherNeeds needs_;
    Daemon daemon_;
};

}  // namespace holdfast::client
