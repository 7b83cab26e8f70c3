// Reads the client's configuration file. For before the daemon's seal.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "client/config/config.hh"

namespace holdfast::client {

inline constexpr const char* default_config_file = "/etc/holdfast/client.conf";

// `named` is the file that the person named: it must be there. Empty: the default file, and a Config that
// says nothing where that is missing. The errors are complete lines, one for each mistake.
[[nodiscard]] std::expected<Config, std::vector<std::string>> load_config(
    const std::optional<std::string>& named, const std::string& default_file = default_config_file);

}  // namespace holdfast::client
