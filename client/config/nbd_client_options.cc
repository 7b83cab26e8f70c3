// The table serves both forms. A long form wins over a letter, as in getopt_long_only(3).

#include "client/config/nbd_client_options.hh"

#include <algorithm>
#include <array>

#include "common/text/text.hh"

namespace holdfast::client {
namespace {

using Fate = NbdClientOption::Fate;

constexpr std::string_view no_tls =
    "TLS is not supported yet, and the data would be sent unencrypted; keep nbd-client for this device";

constexpr std::array options_table{
    NbdClientOption{"bs", "block-size", 'b', true, Fate::kept, ""},
    NbdClientOption{"conns", "connections", 'C', true, Fate::kept, "only one connection is used so far"},
    NbdClientOption{"timeout", "timeout", 't', true, Fate::kept,
                    "after this time the kernel drops the link, not the device; the request is repeated on "
                    "the next link"},
    NbdClientOption{"port", "", 0, true, Fate::kept, ""},
    NbdClientOption{"unix", "unix", 'u', false, Fate::kept, ""},
    NbdClientOption{"ro", "readonly", 'R', false, Fate::kept, ""},
    NbdClientOption{"name", "name", 'N', true, Fate::name, ""},
    NbdClientOption{"persist", "persist", 'p', false, Fate::needless, "a lost link is always made again"},
    NbdClientOption{"swap", "swap", 's', false, Fate::needless, "the daemon always locks its memory"},
    NbdClientOption{"systemd-mark", "systemd-mark", 'm', false, Fate::needless,
                    "the daemon always marks itself for systemd"},
    NbdClientOption{"nofork", "nofork", 'n', false, Fate::needless, "the daemon must keep running"},
    NbdClientOption{"netlink", "netlink", 0, false, Fate::needless, "netlink is always used"},
    NbdClientOption{"nonetlink", "nonetlink", 'L', false, Fate::needless,
                    "devices are attached through netlink only"},
    NbdClientOption{"no_optgo", "no-optgo", 'g', false, Fate::needless,
                    "NBD_OPT_GO is tried first, then NBD_OPT_EXPORT_NAME"},
    NbdClientOption{"dead-timeout", "dead-timeout", 0, true, Fate::needless,
                    "requests wait for the next link without a limit"},
    NbdClientOption{"preinit", "preinit", 'P', false, Fate::refused,
                    "the server must negotiate; let it do so, and remove the option"},
    NbdClientOption{"size", "size", 'B', true, Fate::refused,
                    "the server determines the size; set it there, and remove the option"},
    NbdClientOption{"sdp", "sdp", 'S', false, Fate::refused,
                    "Linux has no Socket Direct Protocol any more; remove the option to use TCP"},
    NbdClientOption{"tls", "enable-tls", 'x', false, Fate::refused, no_tls},
    NbdClientOption{"certfile", "certfile", 'F', true, Fate::refused, no_tls},
    NbdClientOption{"keyfile", "keyfile", 'K', true, Fate::refused, no_tls},
    NbdClientOption{"cacertfile", "cacertfile", 'A', true, Fate::refused, no_tls},
    NbdClientOption{"tlshostname", "tlshostname", 'H', true, Fate::refused, no_tls},
    NbdClientOption{"priority", "priority", 'y', true, Fate::refused, no_tls},
};

CommandLineOption read_long_option(std::string_view name) {
    std::string_view value = name;
    const std::string_view form = take_until(value, '=');
    const auto* const found = std::ranges::find(options_table, form, &NbdClientOption::long_form);
    if (form.empty() || found == options_table.end()) return {};
    return {found, form.size() < name.size() ? std::optional(value) : std::nullopt};
}

CommandLineOption read_letter_option(std::string_view name) {
    const char letter = name.empty() ? '\0' : name.front();
    const auto* const found = std::ranges::find(options_table, letter, &NbdClientOption::letter);
    if (letter == '\0' || found == options_table.end()) return {};
    if (name.size() == 1) return {found, std::nullopt};
    return found->has_value ? CommandLineOption{found, name.substr(1)} : CommandLineOption{};
}

}  // namespace

std::span<const NbdClientOption> nbd_client_options() noexcept { return options_table; }

const NbdClientOption* find_nbdtab_option(std::string_view word) noexcept {
    const auto* const found = std::ranges::find(options_table, word, &NbdClientOption::word);
    return found == options_table.end() ? nullptr : found;
}

CommandLineOption read_command_line_option(std::string_view word) noexcept {
    const bool two_dashes = word.starts_with("--");
    const std::string_view name = word.substr(two_dashes ? 2 : 1);
    const CommandLineOption read = read_long_option(name);
    return read.option != nullptr || two_dashes ? read : read_letter_option(name);
}

}  // namespace holdfast::client
