// Which of several devices is the root disk.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "client/control/run_directory.hh"

namespace holdfast::client {

// Returns the root disk among the devices: their records also say of the further disks of the root file
// system that they carry it, but the initramfs attaches those after the root disk. Unreadable records do not
// count.
[[nodiscard]] std::optional<std::uint32_t> root_disk(std::span<const std::uint32_t> devices,
                                                     const char* folder = run_directory);

}  // namespace holdfast::client
