// Reads the table of further devices. For before the daemon's seal.
#pragma once

#include <expected>
#include <optional>
#include <string>

#include "client/config/devices.hh"

namespace holdfast::client {

inline constexpr const char* default_device_table = "/etc/holdfast/devices";

// `named` is the file that the person named: it must be there. Empty: the default file, and an empty table
// where that is missing. The error is that the file cannot be read; mistakes in it are the table's.
[[nodiscard]] std::expected<DeviceTable, std::string> load_device_table(
    const std::optional<std::string>& named = std::nullopt);

}  // namespace holdfast::client
