// The table of further devices, /etc/holdfast/devices: one line for each, with the fields of nbdtab(5).
// holdfast-devices(5) describes it. Pure: text in, lines and remarks out; the file itself is read by
// devices_file.hh. For before the daemon's seal.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "client/address/export_address.hh"
#include "client/config/choices.hh"
#include "common/text/ini.hh"

namespace holdfast::client {

struct DeviceLine {
    std::uint32_t index = 0;
    unsigned line = 0;
    bool at_boot = true;                 // not `noauto`
    bool refused = false;                // a mistake stands in the line: the two below mean nothing
    std::vector<ServerAddress> servers;  // in order of preference, never empty
    Choices choices;
};

// Unlike the configuration file, a mistake is its line's alone: the other disks of the machine are none of
// its business, as in fstab(5). A refused line stays in the table as long as its device can be read, so that
// what waits for the device is told, rather than waits.
struct DeviceTable {
    std::vector<DeviceLine> devices;
    std::vector<Remark> errors;    // what is wrong, and the mend
    std::vector<Remark> warnings;  // what is passed over

    // Nothing where the table does not name it.
    [[nodiscard]] const DeviceLine* find(std::uint32_t index) const;
};

[[nodiscard]] DeviceTable read_device_table(std::string_view file, std::string_view text);

}  // namespace holdfast::client
