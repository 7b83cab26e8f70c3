// Reads the client's configuration file. Use only before the daemon's seal.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "client/config/config.hh"

namespace holdfast::client {

inline constexpr const char* default_config_file = "/etc/holdfast/client.conf";

// `named`: the file named by the user, which must exist. Empty: the default file, or an empty Config if that
// file is missing. The errors are complete lines, one per fault.
[[nodiscard]] std::expected<Config, std::vector<std::string>> load_config(
    const std::optional<std::string>& named, const std::string& default_file = default_config_file);

}  // namespace holdfast::client
