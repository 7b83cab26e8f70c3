// Reads the client's two files: the configuration file and the table of further devices. Use only before the
// daemon's seal.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "client/config/config.hh"
#include "client/config/device_table.hh"

namespace holdfast::client {

inline constexpr const char* default_config_file = "/etc/holdfast/client.conf";

// `named`: the file named by the user, which must exist. Empty: the default file, or an empty Config if that
// file is missing. The errors are complete lines, one per fault.
[[nodiscard]] std::expected<Config, std::vector<std::string>> load_config(
    const std::optional<std::string>& named, const std::string& default_file = default_config_file);

inline constexpr const char* default_device_table = "/etc/holdfast/devices";

// `named`: the file named by the user, which must exist. Empty: the default file, or an empty table if that
// file is missing. The error means that the file is unreadable; errors in its lines are in the table.
[[nodiscard]] std::expected<DeviceTable, std::string> load_device_table(
    const std::optional<std::string>& named = std::nullopt);

}  // namespace holdfast::client
