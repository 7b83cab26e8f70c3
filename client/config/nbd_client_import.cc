// Compares an import with the table of devices, and lists the steps that remain. Each format has a file of
// its own: nbdtab_import.cc, nbd_client_script.cc.

#include "client/config/nbd_client_import.hh"

#include <fmt/core.h>

#include <utility>

#include "client/config/device_table.hh"
#include "client/config/nbd_client_script.hh"
#include "client/config/nbdtab_import.hh"

namespace holdfast::client {
namespace {

bool is_same(const DeviceLine& one, const DeviceLine& other) {
    return !one.refused && one.servers == other.servers && one.choices == other.choices &&
           one.at_boot == other.at_boot;
}

}  // namespace

void NbdClientImporter::add_nbdtab(std::string_view file, std::string_view text) {
    import_nbdtab(import_, file, text);
}

void NbdClientImporter::add_script(std::string_view file, std::string_view text) {
    import_nbd_client_script(import_, file, text);
}

TableAddition add_to_table(const Import& import, std::string_view table_file, std::string_view table) {
    TableAddition addition;
    addition.text = table;
    const DeviceTable present = read_device_table(table_file, table);
    for (const ImportedDevice& device : import.devices) {
        const DeviceTable one = read_device_table("", device.line);
        const DeviceLine* const there = present.find(device.index);
        if (there == nullptr) {
            if (!addition.text.empty() && !addition.text.ends_with('\n')) addition.text += '\n';
            addition.text += device.line + "\n";
            addition.added.push_back(device);
            continue;
        }
        FilePosition position{std::string(table_file), there->line};
        if (is_same(*there, one.devices.at(0))) {
            addition.present.push_back(
                {std::move(position), fmt::format("nbd{}: is there already", device.index)});
        } else {
            addition.conflicts.push_back(
                {std::move(position), fmt::format("nbd{}: differs from {}; make this line '{}', or remove it",
                                                  device.index, to_string(device.position), device.line)});
        }
    }
    return addition;
}

std::vector<std::string> steps_after(const Import& import) {
    if (import.devices.empty()) return {};
    std::string units, started;
    for (const ImportedDevice& device : import.devices) {
        units += fmt::format(" nbd@nbd{}.service", device.index);
        started += fmt::format(" holdfast@nbd{}.service", device.index);
    }
    return {
        "stop using the devices: unmount their file systems, swapoff",
        fmt::format("systemd: systemctl disable --now{}", units),
        "System V init: service nbd-client stop, then update-rc.d nbd-client disable",
        "remove the devices from nbd-client's file, or its package, whose scripts would disconnect them",
        fmt::format("systemd: systemctl daemon-reload, then systemctl start{}", started),
        "System V init: service holdfast-client start",
        // NOLINTNEXTLINE(bugprone-suspicious-missing-comma): one long line
        "the lines of /etc/fstab stay as they are; they need the option _netdev, and with noauto in the "
        "table of devices a device is attached on demand only",
    };
}

}  // namespace holdfast::client
