// Whether a disk may lose writes that it has answered: by what /sys says of it and of all that it is stacked
// on.
#pragma once

#include <sys/types.h>

#include <string>

namespace holdfast::server {

// False only where it is certain: kinds of disks whose drivers report their caches, each of them without a
// volatile cache (queue/write_cache is "write through"), alone, partitioned, or stacked by device-mapper. A
// RAID array, a disk in memory, another network disk and whatever else is not known may. Reads a few small
// files of `sys`.
[[nodiscard]] bool may_lose_writes(dev_t device, const std::string& sys = "/sys");

}  // namespace holdfast::server
