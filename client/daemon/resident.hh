// The way from a process that may do as it likes to a daemon that lives on what it has.
#pragma once

#include "client/daemon/daemon.hh"
#include "client/process/residence.hh"

namespace holdfast::client {

class Resident {
public:
    Resident(Netlink netlink, SysfsDevice sysfs, DeviceRecord record, const LiveState& live);
    // Leaves the terminal, opens what the daemon will need, locks memory, gives up capabilities, marks the
    // process. What could not be done but can be done without is logged. The caller has seen to its control
    // group already where its home is a service.
    [[nodiscard]] Result<void> prepare(ProcessTitle& title, Home home);
    // From here on nothing is allocated. The daemon is not in charge yet.
    [[nodiscard]] Daemon& seal() noexcept;

private:
    std::uint32_t index_;
    FurtherNeeds needs_;
    Daemon daemon_;
};

}  // namespace holdfast::client
