// Reads the client's two files: the configuration file and the table of further devices. Use only before the
// daemon's seal.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/config/config.hh"
#include "client/config/device_table.hh"
#include "common/linux/result.hh"

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

// Returns the text of the user's file, which must exist, or else of the default file; empty if that is
// missing.
[[nodiscard]] std::expected<std::string, std::string> read_config_text(
    const std::optional<std::string>& named, const std::string& default_file);

// Replaces the whole file at once: another process, or the next boot, finds the old text or the new one.
// Keeps owner and mode, follows symbolic links, and makes the file's folder if it is missing.
[[nodiscard]] Result<void> replace_config_file(const std::string& file, std::string_view text);

}  // namespace holdfast::client
