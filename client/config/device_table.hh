// The table of further devices, /etc/holdfast/devices: a line per device, with the fields of nbdtab(5).
// Described in holdfast-devices(5). Pure: text in, lines and remarks out; config_files.hh reads the file. Use
// only before the daemon's seal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "client/address/server_address.hh"
#include "client/config/choices.hh"
#include "common/text/ini.hh"

namespace holdfast::client {

struct DeviceLine {
    std::uint32_t index = 0;
    unsigned line = 0;
    bool at_boot = true;                 // no `noauto` option
    bool in_initramfs = false;           // `initramfs`: valid also for a refused line, like the next
    bool may_fail = false;               // `nofail`: the root file system works without this disk
    bool refused = false;                // the line has an error: the two members below are invalid
    std::vector<ServerAddress> servers;  // in order of preference, not empty
    Choices choices;
};

// The parsed table. Unlike in the configuration file, an error affects only its own line, not the machine's
// other disks, as in fstab(5). A refused line stays in the table if its device is readable, so that programs
// waiting for the device get an error instead of waiting.
struct DeviceTable {
    std::vector<DeviceLine> devices;
    std::vector<Remark> errors;    // faults, with the fix
    std::vector<Remark> warnings;  // ignored parts
    std::string file;              // for messages
    // Numbers of the lines with the option `initramfs`, also of those whose device is invalid.
    std::vector<unsigned> lines_of_initramfs;

    // Returns nullptr if the table does not name the device.
    [[nodiscard]] const DeviceLine* find(std::uint32_t index) const;
};

[[nodiscard]] DeviceTable read_device_table(std::string_view file, std::string_view text);

}  // namespace holdfast::client
