// boot --network: prints what the initramfs's script makes and configures before there is a network.

#include <fmt/core.h>

#include "client/boot/boot_files.hh"
#include "client/boot/boot_plan.hh"
#include "client/boot/network_words.hh"
#include "client/command/commands.hh"
#include "client/config/config_files.hh"
#include "common/linux/text_file.hh"

namespace holdfast::client {
namespace {

std::vector<NetworkCard> network_cards(const BootFiles& files) {
    constexpr std::size_t longest_address = 256;
    std::vector<NetworkCard> cards;
    for (const std::string& name : network_interfaces(files)) {
        std::string address =
            read_text_file(files.interfaces + "/" + name + "/address", longest_address).value_or("");
        while (address.ends_with('\n')) address.pop_back();
        cards.push_back({.name = name, .hardware_address = std::move(address)});
    }
    return cards;
}

// Prints the time for the attempts. A command line or a file with errors is reported by the command that
// attaches.
void say_limit(std::string_view command_line, const BootFiles& files, const BootCommandOptions& options) {
    const auto request = read_boot_request(command_line, read_boot_variables(files));
    if (!request || !*request) return;
    const auto config = load_config(options.config_file);
    say(fmt::format("limit {}\n", foreseen_patience(**request, config.value_or(Config{})).count()));
}

}  // namespace

ExitCode run_boot_network(const BootCommandOptions& options) {
    BootFiles files;
    if (options.command_line_file) files.command_line = *options.command_line_file;
    const auto command_line = read_command_line(files);
    if (!command_line) {
        complain(command_line.error());
        return ExitCode::usage;
    }
    const auto words = read_network_words(*command_line);
    if (!words) {
        complain(words.error().message);
        return ExitCode::usage;
    }
    say(network_steps(*words, network_cards(files)));
    say_limit(*command_line, files, options);
    return ExitCode::ok;
}

}  // namespace holdfast::client
