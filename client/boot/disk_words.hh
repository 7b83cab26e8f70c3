// holdfast.disk=DEVICE=EXPORT on the kernel command line: further disks of the root file system. Pure; use
// only before the daemon's seal.
#pragma once

#include <expected>
#include <string_view>
#include <vector>

#include "client/boot/boot_error.hh"
#include "client/boot/boot_request.hh"

namespace holdfast::client {

// Reads the words, in their order. Several words for a device name further servers of one disk.
[[nodiscard]] std::expected<std::vector<DiskWord>, BootError> read_disk_words(std::string_view command_line);

// Checks a command line that names no root disk: a further disk cannot be the only one. With root=dhcp or
// netroot=dhcp, the root disk is not known yet.
[[nodiscard]] std::expected<void, BootError> check_without_root_disk(std::string_view command_line);

}  // namespace holdfast::client
