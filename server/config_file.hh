// Reads the configuration's files and hands their texts to the pure reader (config.hh).
#pragma once

#include <string>
#include <vector>

#include "server/config.hh"
#include "server/options.hh"

namespace holdfast::server {

struct LoadedConfig {
    Config config;  // when there are errors, only what could be read
    std::vector<Remark> errors;
    std::vector<Remark> warnings;
};

// The configuration that these options ask for. Called at start and again for a reload.
[[nodiscard]] LoadedConfig load_config(const Options& options);

// What the files around the configuration will do to clients as things stand. The server starts all the same:
// other exports are not concerned.
struct Surroundings {
    std::vector<Remark> mistakes;  // in authfiles: whoever wrote them meant something else
    std::vector<Remark> warnings;  // devices, files and authfiles that are not there: they may come
};
// Of a configuration with mistakes, of what could be read of it. Looks at the file system, opens no volume.
[[nodiscard]] Surroundings look_around(const Config& config);

}  // namespace holdfast::server
