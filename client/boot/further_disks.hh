// The disks that the initramfs attaches besides the root disk, because the root file system is on several:
// those of holdfast.disk=, and the lines of the table of devices with the option initramfs. Pure; use only
// before the daemon's seal.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "client/address/server_address.hh"
#include "client/boot/boot_error.hh"
#include "client/boot/boot_request.hh"
#include "client/boot/ipconfig.hh"
#include "client/config/choices.hh"
#include "client/config/config.hh"
#include "client/config/device_table.hh"

namespace holdfast::client {

struct FurtherDisk {
    std::string source;  // printable: the word's key and device, or the table's file and line
    std::uint32_t index = 0;
    std::vector<ServerAddress> servers;  // in order of preference; empty if there is a problem
    Choices options;
    std::chrono::seconds patience{30};  // time limit for attaching
    bool may_fail = false;              // nofail: the machine boots without the disk
    std::string problem;                // why the disk cannot be attached, and the fix; printable
};

// The plan's root disk, as far as it concerns the others.
struct RootDisk {
    std::uint32_t index = 0;
    const std::vector<ServerAddress>& servers;
    std::chrono::seconds patience;
};

// Returns the disks in the order of the words, then of the table. A word replaces the table's line for its
// device. An error of a word ends the boot, an error of a line is a problem of its disk alone.
[[nodiscard]] std::expected<std::vector<FurtherDisk>, BootError> plan_further_disks(
    const BootRequest& request, const std::vector<NetworkAnswer>& answers, const Config& config,
    const DeviceTable& table, const RootDisk& root, std::vector<std::string>& warnings);

// Checks the words as far as this is possible without DHCP, the configuration file and the table. Returns an
// error that the plan would have, too.
[[nodiscard]] std::expected<void, BootError> check_disk_words(const BootRequest& request);

// Returns a line for the console and the log: servers as URIs, device, source; or the problem.
[[nodiscard]] std::string describe(const FurtherDisk& disk);

}  // namespace holdfast::client
