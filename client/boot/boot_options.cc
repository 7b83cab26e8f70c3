// Applies option_table.hh. Options that need no action are accepted, so that a command line written for
// nbd-client still boots.

#include "client/boot/boot_options.hh"

#include <fmt/core.h>

#include "client/config/option_table.hh"
#include "common/text/number.hh"
#include "common/text/printable.hh"

namespace holdfast::client {
namespace {

using Outcome = std::expected<void, std::string>;

constexpr std::uint32_t most_connections = 8;

// An option split at its '='.
struct Option {
    std::string_view text;   // as given
    std::string_view name;   // without leading dashes
    std::string_view value;  // empty if there is none
};

Option split_option(std::string_view text) {
    Option option{.text = text, .name = text, .value = ""};
    while (option.name.starts_with('-')) option.name.remove_prefix(1);
    const std::size_t equals = option.name.find('=');
    if (equals != std::string_view::npos) option.value = option.name.substr(equals + 1);
    option.name = option.name.substr(0, equals);
    return option;
}

Outcome take_choice(const Option& option, std::string_view choice, BootOptions& read) {
    // Limits the connections instead of failing, so that a command line written for nbd-client still boots.
    const auto number = number_of<std::uint32_t>(option.value);
    if (choice == "connections" && number && *number > most_connections) {
        read.choices.connections = 1;
        read.warnings.push_back(
            fmt::format("option '{}': only one connection is used; see CONNECTIONS in holdfast-client(8)",
                        printable(option.text)));
        return {};
    }
    if (const auto chosen = choose(read.choices, choice, option.value); !chosen)
        return std::unexpected{fmt::format("option '{}': {}= {}", printable(option.text),
                                           printable(option.name), chosen.error())};
    return {};
}

Outcome take_option(std::string_view text, BootOptions& read) {
    const Option option = split_option(text);
    const auto known = find_option(option.name, in_nbdroot);
    if (!known)
        return std::unexpected{fmt::format("'{}' is neither a device (nbd0) nor an option (ro, rw, {})",
                                           printable(text), names_of_choices(in_nbdroot, "="))};
    switch (known->treatment) {
        case Treatment::choice: return take_choice(option, known->note, read);
        case Treatment::read_only: read.choices.read_only = true; break;
        case Treatment::read_write: read.choices.read_only = false; break;
        case Treatment::no_effect:
            read.warnings.push_back(
                fmt::format("option '{}' has no effect: {}", printable(text), known->note));
            break;
        case Treatment::refused:
            return std::unexpected{fmt::format("option '{}': {}", printable(text), known->note)};
        default: break;  // always so, or only in the table of devices
    }
    return {};
}

}  // namespace

std::expected<BootOptions, std::string> read_boot_options(const std::vector<std::string>& options) {
    BootOptions read;
    for (const std::string& option : options)
        if (auto taken = take_option(option, read); !taken) return std::unexpected{std::move(taken.error())};
    return read;
}

}  // namespace holdfast::client
