// Reads the configuration's files and passes their texts to the pure parser (config.hh).
#pragma once

#include <set>
#include <string>
#include <vector>

#include "server/config/config.hh"
#include "server/config/options.hh"

namespace holdfast::server {

struct LoadedConfig {
    Config config;  // if there are errors, only the valid part
    std::vector<Remark> errors;
    // Files that a start has ignored, and why; see make_config_for_start().
    std::set<std::string> left_out;
    std::vector<Remark> skipped;
    std::vector<Remark> warnings;
    bool unread = false;  // a file or the includedir was unreadable; not a mistake in its text
};

// Texts of the files before they are parsed. The process that reads them (opener.hh) passes them to the
// process that serves; both parse the same texts.
struct ConfigTexts {
    struct File {
        std::string path;
        std::string text;
        std::string fault;  // not empty: why the file was unreadable
    };
    std::vector<File> files;      // the main file, if it is read, then the files of its includedir
    std::string directory;        // the includedir; empty: none
    std::string directory_fault;  // not empty: why the includedir was unreadable
    bool directory_hangs = false;
    std::vector<std::string> hanging;  // paths that did not answer in time
};

// Paths not to be opened, because an earlier attempt still hangs: threads and processes that hang cannot be
// ended, and their number must not grow.
using HangingPaths = std::set<std::string>;

// Blocks for at most 15 seconds; a path that has not answered by then gets a `fault`. Leaves threads that
// hang behind: call only in a process that may be left behind too.
[[nodiscard]] ConfigTexts read_config_files(const Options& options, const HangingPaths& left_out = {});
// Calls read_config_files() in a process of its own. Call before there are threads.
[[nodiscard]] ConfigTexts read_config_files_apart(const Options& options);
// Parses the texts and the options. Pure.
[[nodiscard]] LoadedConfig make_config(const Options& options, const ConfigTexts& texts);
// The same for a start, when clients of all exports wait: ignores files of the includedir with mistakes, and
// an includedir that hangs, unless [generic] sets `strict` or nothing would be left. A mistake anywhere else
// is an error. Pure.
[[nodiscard]] LoadedConfig make_config_for_start(const Options& options, ConfigTexts texts);

// Reads and parses the configuration that the options name.
[[nodiscard]] LoadedConfig load_config(const Options& options);

// Reads the present content of all authfiles: `path`, and `text` or `fault`. Blocks for at most two seconds;
// a file that has not answered by then gets a `fault`. Leaves threads behind as read_config_files() does.
[[nodiscard]] ConfigTexts read_access_files(const Config& config, const HangingPaths& left_out = {});

// Present causes of refusals outside the configuration files. The server starts anyway, since other exports
// are unaffected.
struct Surroundings {
    std::vector<Remark> mistakes;      // in authfiles; errors, since these files are not as intended
    std::vector<Remark> warnings;      // missing devices, files and authfiles, which may still appear
    std::vector<std::string> hanging;  // paths that did not answer in time
    std::set<std::string> refusing;    // exports whose clients are refused at present
};
// Checks devices, files and authfiles; opens no volume. Of a configuration with mistakes, checks the valid
// part. Blocks for at most five seconds; warns of paths that have not answered by then. Leaves threads behind
// as read_config_files() does.
[[nodiscard]] Surroundings look_around(const Config& config, const HangingPaths& left_out = {});

}  // namespace holdfast::server
