// Command line: parses words into the options of a command. No other effects; never ends the program.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "client/address/server_address.hh"
#include "client/config/choices.hh"

namespace holdfast::client {

struct AttachOptions {
    std::vector<ServerAddress> servers;  // empty: the servers that the files name for `index`
    std::optional<std::uint32_t> index;  // set if `servers` is empty
    Choices choices;
    std::optional<std::string> config_file;  // empty: the default file
    bool quiet = false;
    bool service = false;  // for holdfast@.service: the daemon is the service's main process
};

struct DetachOptions {
    std::uint32_t index = 0;
    bool force = false;
    bool service = false;  // for holdfast@.service, whose main process is the daemon
};

struct StatusOptions {
    std::optional<std::uint32_t> index;  // empty: all attached devices
    bool json = false;
    bool prometheus = false;
};

struct TakeoverOptions {
    std::optional<std::uint32_t> index;  // empty: all attached devices, without changes
    std::vector<ServerAddress> servers;  // new servers; empty: unchanged
    Choices choices;                     // override the device's policy
    bool only_check = false;
};

struct ResizeOptions {
    std::uint32_t index = 0;
};

struct ConfineOptions {
    std::optional<std::uint32_t> index;  // empty: all attached devices
};

struct DevicesOptions {
    std::optional<std::string> file;  // empty: the default file
    bool check_only = false;
    bool json = false;
};

struct ImportConfigOptions {
    // Empty, both: the default files, as far as they exist.
    std::optional<std::string> script;  // in the form of /etc/nbd-client
    std::optional<std::string> nbdtab;
    std::optional<std::string> table;  // empty: the default table of devices
    bool write = false;
    bool json = false;
};

struct ListOptions {
    ServerAddress server;
    bool with_details = false;
    bool json = false;
};

struct BootFilesOptions {
    std::optional<std::uint32_t> index;  // empty: the root disk's, or the only attached device
    bool push = false;                   // otherwise: show what the next boot gets
    bool json = false;
    // Empty: the newest installed kernel. Only with `push`; kernel and initrd together.
    std::optional<std::string> kernel;
    std::optional<std::string> initrd;
    std::optional<std::string> xen;
};

struct BootCommandOptions {
    std::optional<std::string> command_line_file;
    std::optional<std::string> config_file;  // empty: the default file
    bool check_only = false;                 // check the command line, without the network
    bool print_only = false;                 // print the plan, attach nothing
    bool network_only = false;               // print the network devices of the command line, attach nothing
    std::optional<std::chrono::seconds> limit;  // try no longer than this; empty: as the command line says
};

struct KeepNetworkOptions {
    std::string root;                        // mount point of the root file system
    std::string init = "/sbin/init";         // program there that will be process 1
    std::optional<std::string> config_file;  // empty: the default file of that file system
};

struct PrepareRootOptions {
    std::string root;  // mount point of the root file system
    std::optional<std::string> command_line_file;
};

struct HelpOptions {
    std::string command;  // empty: overview
};
struct VersionOptions {};

using Command =
    std::variant<AttachOptions, DetachOptions, StatusOptions, TakeoverOptions, ResizeOptions, ConfineOptions,
                 DevicesOptions, ImportConfigOptions, ListOptions, BootFilesOptions, BootCommandOptions,
                 KeepNetworkOptions, PrepareRootOptions, HelpOptions, VersionOptions>;

// Parses the words after the program's name. The error is a line that names the wrong word and the remedy.
[[nodiscard]] std::expected<Command, std::string> read_command(const std::vector<std::string>& words);

// Parses "3", "nbd3" or "/dev/nbd3".
[[nodiscard]] std::expected<std::uint32_t, std::string> read_device(std::string_view word);

// Returns the text of `help COMMAND`, or of `--help`; empty for an unknown command.
[[nodiscard]] std::string_view help_text(std::string_view command) noexcept;

}  // namespace holdfast::client
