// Reads the configuration's files and hands their texts to the pure reader (config.hh).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "server/config.hh"
#include "server/options.hh"

namespace holdfast::server {

struct LoadedConfig {
    Config config;  // when there are errors, only what could be read
    std::vector<Remark> errors;
    std::vector<Remark> skipped;  // mistakes in files of the includedir that were left out, see load_config()
    std::vector<Remark> warnings;
};

// The files as they were read, before anything is made of them: the process that reads them (opener.hh) hands
// them to the one that serves, and both make the same of them.
struct ConfigTexts {
    struct File {
        std::string path;
        std::string text;
        std::string fault;  // not empty: it could not be read
    };
    std::vector<File> files;      // the main file, where one is read, and then those of its includedir
    std::string directory_fault;  // not empty: why the includedir could not be read
};

// `on_path` is called with each path just before it is opened.
[[nodiscard]] ConfigTexts read_config_files(const Options& options,
                                            const std::function<void(const std::string& path)>& on_path = {});
// Pure.
[[nodiscard]] LoadedConfig make_config(const Options& options, const ConfigTexts& texts);

// The configuration that these options ask for: the two in one.
[[nodiscard]] LoadedConfig load_config(const Options& options);
// The same for a start, after which clients of all exports wait: files of the includedir with mistakes are
// left out, unless [generic] says `strict`, or nothing would be left. A mistake anywhere else is an error.
[[nodiscard]] LoadedConfig load_config_for_start(const Options& options);
// Pure.
[[nodiscard]] LoadedConfig make_config_for_start(const Options& options, ConfigTexts texts);

// All authfiles, as they are now: `path`, and `text` or `fault`. Blocks for two seconds at most; a file that
// does not answer until then has that for its fault.
[[nodiscard]] ConfigTexts read_access_files(const Config& config);

// What the files around the configuration will do to clients as things stand. The server starts all the same:
// other exports are not concerned.
struct Surroundings {
    std::vector<Remark> mistakes;  // in authfiles: whoever wrote them meant something else
    std::vector<Remark> warnings;  // devices, files and authfiles that are not there: they may come
};
// Of a configuration with mistakes, of what could be read of it. Looks at the file system, opens no volume.
// Blocks for five seconds at most: paths that do not answer until then are warned of.
[[nodiscard]] Surroundings look_around(const Config& config);

}  // namespace holdfast::server
