// Thin pool of a logical volume, for messages: the process that speaks to clients cannot find it out when the
// pool is full.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

namespace holdfast::server {

// Returns "vg0/pool"; empty if the device is not a thin logical volume. Reads /sys only.
[[nodiscard]] std::string thin_pool_of(dev_t device, const std::string& sys = "/sys");

// Splits a device-mapper name of LVM into group and volume: "my--vg-pool" is "my-vg/pool". Empty: no such
// name. Pure.
[[nodiscard]] std::string volume_of_mapped_name(std::string_view name);

}  // namespace holdfast::server
