// The command line. Reads words into the options of one command; does nothing else, and never ends the
// program.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "client/address/export_address.hh"
#include "client/config/choices.hh"

namespace holdfast::client {

struct AttachOptions {
    std::vector<ServerAddress> servers;  // empty: those that the files name for `index`
    std::optional<std::uint32_t> index;  // given where `servers` is empty
    Choices choices;
    std::optional<std::string> config_file;  // empty: the default one
    bool quiet = false;
    bool service = false;  // for holdfast@.service: the daemon is its main process
};

struct DetachOptions {
    std::uint32_t index = 0;
    bool force = false;
    bool service = false;  // for holdfast@.service, whose main process is the daemon
};

struct StatusOptions {
    std::optional<std::uint32_t> index;  // empty: every device that is attached
    bool json = false;
};

struct TakeoverOptions {
    std::optional<std::uint32_t> index;  // empty: every device that is attached, and nothing is changed
    std::vector<ServerAddress> servers;  // from now on; empty: those that it has
    Choices choices;                     // over the policy that it has
    bool only_check = false;
};

struct ResizeOptions {
    std::uint32_t index = 0;
};

struct DevicesOptions {
    std::optional<std::string> file;  // empty: the default one
    bool check_only = false;
    bool json = false;
};

struct ListOptions {
    ServerAddress server;
    bool with_details = false;
    bool json = false;
};

struct BootCommandOptions {
    std::optional<std::string> command_line_file;
    std::optional<std::string> config_file;  // empty: the default one
    bool check_only = false;                 // judge the command line, without the network
    bool print_only = false;                 // print the plan, attach nothing
};

struct KeepNetworkOptions {
    std::string root;                        // where the root file system is mounted
    std::string init = "/sbin/init";         // which program of it is going to be process 1
    std::optional<std::string> config_file;  // empty: the default one of that file system
};

struct HelpOptions {
    std::string command;  // empty: the whole
};
struct VersionOptions {};

using Command =
    std::variant<AttachOptions, DetachOptions, StatusOptions, TakeoverOptions, ResizeOptions, DevicesOptions,
                 ListOptions, BootCommandOptions, KeepNetworkOptions, HelpOptions, VersionOptions>;

// `words` are those after the program's name. The error is one line that names the word and the mend.
[[nodiscard]] std::expected<Command, std::string> read_command(const std::vector<std::string>& words);

// "3", "nbd3" or "/dev/nbd3".
[[nodiscard]] std::expected<std::uint32_t, std::string> read_device(std::string_view word);

// The text of `help COMMAND`, or of `--help`; empty for a command that does not exist.
[[nodiscard]] std::string_view help_text(std::string_view command) noexcept;

}  // namespace holdfast::client
