// Reads the configuration's files and hands their texts to the pure reader (config.hh).
#pragma once

#include <string>
#include <vector>

#include "server/config.hh"
#include "server/options.hh"

namespace holdfast::server {

struct LoadedConfig {
    Config config;  // worth nothing when there are errors
    std::vector<Remark> errors;
    std::vector<Remark> warnings;
};

// The configuration that these options ask for. Called at start and again for a reload.
[[nodiscard]] LoadedConfig load_config(const Options& options);

// What is not a mistake in the configuration but will refuse clients as things stand: devices and authfiles
// that cannot be found. Looks at the file system, opens nothing.
[[nodiscard]] std::vector<Remark> look_around(const Config& config);

}  // namespace holdfast::server
