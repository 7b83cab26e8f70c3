// Reads the table of further devices. Use only before the daemon's seal.
#pragma once

#include <expected>
#include <optional>
#include <string>

#include "client/config/device_table.hh"

namespace holdfast::client {

inline constexpr const char* default_device_table = "/etc/holdfast/devices";

// `named`: the file named by the user, which must exist. Empty: the default file, or an empty table if that
// file is missing. The error means that the file is unreadable; errors in its lines are in the table.
[[nodiscard]] std::expected<DeviceTable, std::string> load_device_table(
    const std::optional<std::string>& named = std::nullopt);

}  // namespace holdfast::client
