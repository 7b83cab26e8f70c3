// Parses the options with a table for getopt_long; the configuration interprets their values.

#include "server/config/options.hh"

#include <fmt/core.h>
#include <getopt.h>

#include <array>

#include "server/config/config.hh"

namespace holdfast::server {
namespace {

enum Code : int {
    help = 'h',
    version = 'V',
    config = 'C',
    foreground = 'f',
    verbose = 'v',
    export_ = 'e',
    listen = 'l',
    check = 0x100,
    pid_file
};

constexpr std::array long_options{
    option{"config", required_argument, nullptr, config},
    option{"foreground", no_argument, nullptr, foreground},
    option{"check", no_argument, nullptr, check},
    option{"export", required_argument, nullptr, export_},
    option{"listen", required_argument, nullptr, listen},
    option{"pid-file", required_argument, nullptr, pid_file},
    option{"verbose", no_argument, nullptr, verbose},
    option{"help", no_argument, nullptr, help},
    option{"version", no_argument, nullptr, version},
    option{nullptr, 0, nullptr, 0},
};

// Applies an option that getopt has found, with its argument in optarg. False: unknown.
bool apply(int code, Options& options) {
    switch (code) {
        case config:
            options.config = optarg;
            options.config_given = true;
            return true;
        case foreground: options.foreground = true; return true;
        case check: options.check = true; return true;
        case export_: options.exports.emplace_back(optarg); return true;
        case listen: options.listens.emplace_back(optarg); return true;
        case pid_file: options.pid_file = optarg; return true;
        case verbose: options.verbose = true; return true;
        case help: options.help = true; return true;
        case version: options.version = true; return true;
        default: return false;
    }
}

// Checks the options as a whole. Empty: they are valid.
std::string fault_of(const Options& options) {
    if (!options.pid_file.empty() && !options.pid_file.starts_with('/'))
        return fmt::format("--pid-file {}: the path must begin with \"/\"", options.pid_file);
    // The daemon's working directory is "/", and a reload must find the same file.
    if (options.config_given && !options.config.starts_with('/') && !options.check && !options.foreground)
        return fmt::format("--config {}: without --foreground the path must begin with \"/\"",
                           options.config);
    return {};
}

// Explains an argument that belongs to no option: the commands stand first.
std::string fault_of_argument(std::string_view word, bool first) {
    const std::string_view command =
        nearest_word(word, {"status", "volumes", "snapshot", "snapshots", "restore"});
    if (command.empty())
        return fmt::format("{}: unexpected argument; write an export as --export NAME=PATH", word);
    if (command == word && !first)
        return fmt::format("{}: unexpected argument; a command stands first, without options of the server",
                           word);
    return fmt::format("{}: unknown command; did you mean {}?", word, command);
}

}  // namespace

std::expected<Options, std::string> parse_options(int count, char* const* arguments) {
    Options options;
    optind = 0;  // resets getopt: tests call this function more than once
    opterr = 0;
    for (;;) {
        const int at = optind == 0 ? 1 : optind;
        const int code = ::getopt_long(count, arguments, ":C:fe:l:vhV", long_options.data(), nullptr);
        if (code == -1) break;
        if (code == ':') return std::unexpected(fmt::format("{}: missing argument", arguments[at]));
        if (!apply(code, options)) return std::unexpected(fmt::format("{}: unknown option", arguments[at]));
    }
    if (optind < count) {
        return std::unexpected(fault_of_argument(arguments[optind], count == 2));
    }
    if (std::string fault = fault_of(options); !fault.empty()) return std::unexpected(std::move(fault));
    return options;
}

const char* usage() {
    return "usage: holdfast-server [--config FILE] [OPTION...]\n"
           "       holdfast-server --export NAME=PATH[,readonly] [--listen ADDR:PORT] [OPTION...]\n"
           "       holdfast-server status [--json | --prometheus] [--socket PATH]\n"
           "       holdfast-server volumes [--json | --prometheus] [--socket PATH]\n"
           "       holdfast-server volumes reset | remove | promote HOST --export NAME [--yes] "
           "[--wait[=SECONDS]]\n"
           "       holdfast-server volumes sweep [--yes]\n"
           "       holdfast-server snapshot EXPORT NAME --no-freeze | --remove [--yes]\n"
           "       holdfast-server snapshot EXPORT --automatic --no-freeze --keep COUNT | --keep-days DAYS\n"
           "       holdfast-server restore EXPORT NAME [--yes]\n"
           "       holdfast-server snapshots [--json]\n"
           "\n"
           "Export block devices and files over the network (NBD).\n"
           "\n"
           "  -C, --config FILE                  read FILE; default /etc/holdfast/server.conf\n"
           "  -e, --export NAME=PATH[,readonly]  export PATH as NAME; may be repeated; without --config,\n"
           "                                     no configuration is read\n"
           "  -l, --listen ADDR:PORT             listen on ADDR:PORT instead; also [IPV6]:PORT, :PORT, "
           "unix:PATH; may be repeated\n"
           "  -f, --foreground                   stay in the foreground and log to stderr\n"
           "      --pid-file FILE                write the process ID to FILE\n"
           "      --check                        report all errors in the configuration and exit\n"
           "  -v, --verbose                      log more\n"
           "  -h, --help                         show this help\n"
           "  -V, --version                      show the version\n"
           "\n"
           "`holdfast-server status --help`, and --help with another command, shows the options of the\n"
           "command. See holdfast-server(8) and holdfast-server.conf(5).\n";
}

}  // namespace holdfast::server
