// Names of NBD devices and their partitions. Pure; use only before the daemon's seal.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::client {

// Number of devices: the kernel's minor numbers have 20 bits, 5 of them for partitions (drivers/block/nbd.c,
// max_part=16).
inline constexpr std::uint32_t most_devices = 32768;

// A whole disk nbdN, or its partition nbdNpM.
struct NbdDevice {
    std::uint32_t index = 0;
    std::uint32_t partition = 0;  // 0: the whole disk

    bool operator==(const NbdDevice&) const = default;
};

// Parses nbd0, /dev/nbd0, nbd0p1, /dev/nbd0p1. Returns nullopt for any other word.
std::optional<NbdDevice> parse_nbd_device(std::string_view word);

// Returns "/dev/nbd0" or "/dev/nbd0p1".
std::string device_path(const NbdDevice& device);

}  // namespace holdfast::client
