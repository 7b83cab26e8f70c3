// Command line options.
#pragma once

#include <expected>
#include <string>
#include <vector>

namespace holdfast::server {

inline constexpr const char* default_config = "/etc/holdfast/server.conf";

struct Options {
    std::string config = default_config;
    bool config_given = false;
    std::vector<std::string> exports;  // as written: NAME=PATH[,readonly]
    std::vector<std::string> listens;  // as written: ADDR:PORT
    std::string pid_file;
    bool foreground = false;
    bool check = false;
    bool verbose = false;
    bool help = false;
    bool version = false;

    // Whether a configuration file is read: always, unless there is --export without --config.
    [[nodiscard]] bool reads_config() const { return config_given || exports.empty(); }
};

// Parses the command line. Not reentrant (getopt). The error is a single line for the user.
[[nodiscard]] std::expected<Options, std::string> parse_options(int count, char* const* arguments);

// Returns the text of --help.
[[nodiscard]] const char* usage();

}  // namespace holdfast::server
