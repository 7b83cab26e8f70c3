// Status of devices in the text format of Prometheus, for node_exporter's folder of text files. Pure.
// https://prometheus.io/docs/instrumenting/exposition_formats/
#pragma once

#include <span>
#include <string>

#include "client/control/device_status.hh"

namespace holdfast::client {

// Families without a sample are left out; a device that is detached has none, and neither one whose daemon
// does not answer. A device without a daemon has only this said.
[[nodiscard]] std::string to_prometheus(std::span<const DeviceStatus> devices);

}  // namespace holdfast::client
