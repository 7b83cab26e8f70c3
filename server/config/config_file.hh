// Reads the configuration's files and hands their texts to the pure reader (config.hh).
#pragma once

#include <set>
#include <string>
#include <vector>

#include "server/config/config.hh"
#include "server/config/options.hh"

namespace holdfast::server {

struct LoadedConfig {
    Config config;  // when there are errors, only what could be read
    std::vector<Remark> errors;
    // Files that a start has left out, and why; see make_config_for_start().
    std::set<std::string> left_out;
    std::vector<Remark> skipped;
    std::vector<Remark> warnings;
    bool unread = false;  // a file or the includedir could not be read: that is no mistake in it
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
    std::string directory;        // the includedir; empty: there is none
    std::string directory_fault;  // not empty: why the includedir could not be read
    bool directory_hangs = false;
    std::vector<std::string> hanging;  // paths that gave no answer in time
};

// Paths that are not to be touched, because an earlier attempt at them still hangs: these threads and
// processes cannot be ended, and must not become more and more.
using HangingPaths = std::set<std::string>;

// Blocks for 15 seconds at most; what does not answer has that for its fault. Threads that hang are left
// behind: to be called in a process that may be left behind with them.
[[nodiscard]] ConfigTexts read_config_files(const Options& options, const HangingPaths& left_out = {});
// The same in a process of its own. Before there are threads.
[[nodiscard]] ConfigTexts read_config_files_apart(const Options& options);
// Pure.
[[nodiscard]] LoadedConfig make_config(const Options& options, const ConfigTexts& texts);
// The same for a start, after which clients of all exports wait: files of the includedir with mistakes are
// left out, as is an includedir that hangs, unless [generic] says `strict`, or nothing would be left. A
// mistake anywhere else is an error. Pure.
[[nodiscard]] LoadedConfig make_config_for_start(const Options& options, ConfigTexts texts);

// The configuration that these options ask for.
[[nodiscard]] LoadedConfig load_config(const Options& options);

// All authfiles, as they are now: `path`, and `text` or `fault`. Blocks for two seconds at most; a file that
// does not answer until then has that for its fault. Threads are left behind as above.
[[nodiscard]] ConfigTexts read_access_files(const Config& config, const HangingPaths& left_out = {});

// What the files around the configuration will do to clients as things stand. The server starts all the same:
// other exports are not concerned.
struct Surroundings {
    std::vector<Remark> mistakes;      // in authfiles: whoever wrote them meant something else
    std::vector<Remark> warnings;      // devices, files and authfiles that are not there: they may come
    std::vector<std::string> hanging;  // paths that gave no answer in time
};
// Of a configuration with mistakes, of what could be read of it. Looks at the file system, opens no volume.
// Blocks for five seconds at most: paths that do not answer until then are warned of. Threads are left behind
// as above.
[[nodiscard]] Surroundings look_around(const Config& config, const HangingPaths& left_out = {});

}  // namespace holdfast::server
