// Status of devices in the text format of Prometheus, for node_exporter's folder of text files. Pure.
// https://prometheus.io/docs/instrumenting/exposition_formats/
#pragma once

#include <span>
#include <string>

#include "client/control/device_status.hh"

namespace holdfast::client {

// Families without a sample are left out; a device that is detached has none. Of a device whose daemon did not
// answer, only the link and the daemon are told.
[[nodiscard]] std::string to_prometheus(std::span<const DeviceStatus> devices);

}  // namespace holdfast::client
