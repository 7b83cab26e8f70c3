// Determines from /sys whether a disk, or any disk below it, may lose acknowledged writes.
#pragma once

#include <sys/types.h>

#include <string>

namespace holdfast::server {

// False only if certain: every disk involved is of a kind whose driver reports its cache and has no volatile
// cache (queue/write_cache is "write through"), alone, partitioned, or stacked by device-mapper. True for
// RAID arrays, disks in memory, other network disks and all unknown kinds. Reads a few small files below
// `sys`.
[[nodiscard]] bool may_lose_writes(dev_t device, const std::string& sys = "/sys");

}  // namespace holdfast::server
