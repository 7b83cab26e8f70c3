// Status of the device as its record, its live state and its link have it.
#pragma once

#include <chrono>

#include "client/control/device_status.hh"
#include "client/daemon/kept_device.hh"
#include "client/daemon/link_view.hh"
#include "client/process/memory_use.hh"

namespace holdfast::client {

// Leaves the members empty that other parts of the daemon know. No I/O. Both functions may be called after
// the seal.
[[nodiscard]] DeviceStatus report_of(const KeptDevice& device, const LinkView& link,
                                     std::chrono::steady_clock::time_point now);
// Adds this process and its memory.
void add_process(DeviceStatus& status, const MemoryUse& use);

}  // namespace holdfast::client
