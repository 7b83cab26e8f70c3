// Defines the order in which options are listed.

#include "client/config/option_table.hh"

#include <algorithm>
#include <array>

#include "common/text/number.hh"

namespace holdfast::client {
namespace {

using std::chrono::seconds;

bool read_number(std::string_view text, std::uint32_t least, std::uint32_t most,
                 std::optional<std::uint32_t>& into) {
    const auto value = number_of<std::uint32_t>(text);
    if (!value || *value < least || *value > most) return false;
    into = value;
    return true;
}

bool read_seconds(std::string_view text, std::uint32_t least, std::uint32_t most,
                  std::optional<seconds>& into) {
    std::optional<std::uint32_t> value;
    if (!read_number(text, least, most, value)) return false;
    into = seconds{*value};
    return true;
}

bool read_block_size(std::string_view text, Choices& choices) {
    std::optional<std::uint32_t> value;
    if (!read_number(text, 512, 4096, value) || (*value & (*value - 1)) != 0) return false;
    choices.block_size = value;
    return true;
}

bool read_lost_cache(std::string_view text, Choices& choices) {
    if (text != "continue" && text != "fail") return false;
    choices.lost_cache = text == "fail" ? LostCache::fail : LostCache::go_on;
    return true;
}

// Rejects timeouts under ten seconds, except 0: too short for a server to return.
bool read_shutdown_timeout(std::string_view text, Choices& choices) {
    return read_seconds(text, 0, 0, choices.shutdown_timeout) ||
           read_seconds(text, 10, 86'400, choices.shutdown_timeout);
}

bool read_lease(std::string_view text, Choices& choices) {
    if (text != "renew" && text != "leave") return false;
    choices.lease = text == "leave" ? LeaseCare::leave : LeaseCare::renew;
    return true;
}

bool read_read_only(std::string_view text, Choices& choices) {
    const bool yes = text == "true" || text == "yes" || text == "1";
    if (!yes && text != "false" && text != "no" && text != "0") return false;
    choices.read_only = yes;
    return true;
}

constexpr std::array choices_table{
    ChoiceOption{"timeout", in_all_places & ~in_takeover, 't',
                 [](std::string_view text, Choices& choices) {
                     return read_seconds(text, 0, 86'400, choices.timeout);
                 },
                 "a whole number of seconds from 0 to 86400"},
    ChoiceOption{"dead-after", in_all_places, 0,
                 [](std::string_view text, Choices& choices) {
                     return read_seconds(text, 3, 3600, choices.dead_after);
                 },
                 "a whole number of seconds from 3 to 3600"},
    ChoiceOption{
        "probe", in_all_places, 0,
        [](std::string_view text, Choices& choices) { return read_seconds(text, 0, 3600, choices.probe); },
        "a whole number of seconds from 0 to 3600"},
    ChoiceOption{
        "wait", in_all_places & ~in_takeover, 'w',
        [](std::string_view text, Choices& choices) { return read_seconds(text, 0, 86'400, choices.wait); },
        "a whole number of seconds from 0 to 86400"},
    ChoiceOption{
        "connections", in_all_places & ~in_takeover, 'C',
        [](std::string_view text, Choices& choices) { return read_number(text, 1, 8, choices.connections); },
        "a whole number from 1 to 8"},
    ChoiceOption{"lost-cache", in_all_places, 0, read_lost_cache, "continue or fail"},
    ChoiceOption{"shutdown-timeout", in_all_places, 0, read_shutdown_timeout,
                 "0, or a whole number of seconds from 10 to 86400"},
    // The lease is that of the initramfs, which the kernel command line or the file describes for all its
    // disks.
    ChoiceOption{"lease", in_attach | in_nbdroot | in_config, 0, read_lease, "renew or leave"},
    ChoiceOption{"block-size", in_all_places & ~in_takeover, 'b', read_block_size, "512, 1024, 2048 or 4096"},
    // Spelled in the other places as in words_table, and on the command line --read-only and --read-write.
    ChoiceOption{"read-only", in_config, 0, read_read_only, "true or false"},
};

constexpr std::string_view netlink_only = "devices are attached through netlink only; remove the option";
constexpr std::string_view optgo_first = "NBD_OPT_GO is always tried first";
constexpr std::string_view must_stay = "the daemon must keep running";
constexpr std::string_view must_negotiate = "the server must negotiate; remove the option";
constexpr std::string_view server_says_size = "the server determines the size; remove the option";
constexpr std::string_view no_sdp = "the Socket Direct Protocol is not supported; remove the option";
constexpr std::string_view no_tls = "TLS is not supported yet";
constexpr std::string_view no_tls_for_device =
    "TLS is not supported yet, and the data would be sent unencrypted";

// Other spellings of the choices, and options of nbd-client(8), of dracut's module and of nbdtab(5).
constexpr std::array words_table{
    OptionWord{"t", Treatment::choice, "timeout", in_nbdroot},
    OptionWord{"bs", Treatment::choice, "block-size", in_nbdroot | in_devices},
    OptionWord{"b", Treatment::choice, "block-size", in_nbdroot},
    OptionWord{"C", Treatment::choice, "connections", in_nbdroot},
    OptionWord{"conns", Treatment::choice, "connections", in_devices},
    OptionWord{"ro", Treatment::read_only, "", in_nbdroot | in_devices},
    OptionWord{"readonly", Treatment::read_only, "", in_nbdroot},
    OptionWord{"R", Treatment::read_only, "", in_nbdroot},
    OptionWord{"read-only", Treatment::read_only, "", in_devices},
    OptionWord{"rw", Treatment::read_write, "", in_nbdroot | in_devices},
    OptionWord{"port", Treatment::port, "", in_devices},
    OptionWord{"unix", Treatment::unix_socket, "", in_devices},
    OptionWord{"server", Treatment::server, "", in_devices},
    OptionWord{"noauto", Treatment::no_auto, "", in_devices},
    OptionWord{"initramfs", Treatment::in_initramfs, "", in_devices},
    OptionWord{"nofail", Treatment::may_fail, "", in_devices},
    OptionWord{"auto", Treatment::always_so, "", in_devices},
    OptionWord{"swap", Treatment::always_so, "", in_nbdroot | in_devices},
    OptionWord{"s", Treatment::always_so, "", in_nbdroot},
    OptionWord{"persist", Treatment::always_so, "", in_nbdroot | in_devices},
    OptionWord{"p", Treatment::always_so, "", in_nbdroot},
    OptionWord{"systemd-mark", Treatment::always_so, "", in_nbdroot},
    OptionWord{"m", Treatment::always_so, "", in_nbdroot},
    OptionWord{"netlink", Treatment::always_so, "", in_nbdroot},
    OptionWord{"no-optgo", Treatment::no_effect, optgo_first, in_nbdroot},
    OptionWord{"no_optgo", Treatment::no_effect, optgo_first, in_devices},
    OptionWord{"g", Treatment::no_effect, optgo_first, in_nbdroot},
    OptionWord{"nofork", Treatment::no_effect, must_stay, in_nbdroot},
    OptionWord{"n", Treatment::no_effect, must_stay, in_nbdroot},
    OptionWord{"nonetlink", Treatment::refused, netlink_only, in_nbdroot},
    OptionWord{"nonetlink", Treatment::no_effect, "devices are attached through netlink only", in_devices},
    OptionWord{"L", Treatment::refused, netlink_only, in_nbdroot},
    OptionWord{"preinit", Treatment::refused, must_negotiate, in_nbdroot | in_devices},
    OptionWord{"P", Treatment::refused, must_negotiate, in_nbdroot},
    OptionWord{"size", Treatment::refused, server_says_size, in_nbdroot},
    OptionWord{"B", Treatment::refused, server_says_size, in_nbdroot},
    OptionWord{"sdp", Treatment::refused, no_sdp, in_nbdroot | in_devices},
    OptionWord{"S", Treatment::refused, no_sdp, in_nbdroot},
    OptionWord{"certfile", Treatment::refused, no_tls, in_nbdroot},
    OptionWord{"certfile", Treatment::refused, no_tls_for_device, in_devices},
    OptionWord{"keyfile", Treatment::refused, no_tls, in_nbdroot},
    OptionWord{"keyfile", Treatment::refused, no_tls_for_device, in_devices},
    OptionWord{"cacertfile", Treatment::refused, no_tls, in_nbdroot},
    OptionWord{"cacertfile", Treatment::refused, no_tls_for_device, in_devices},
    OptionWord{"tlshostname", Treatment::refused, no_tls, in_nbdroot},
    OptionWord{"tlshostname", Treatment::refused, no_tls_for_device, in_devices},
    OptionWord{"priority", Treatment::refused, no_tls_for_device, in_devices},
};

}  // namespace

std::span<const ChoiceOption> choice_options() noexcept { return choices_table; }

std::optional<OptionWord> find_option(std::string_view word, OptionPlace place) noexcept {
    for (const ChoiceOption& choice : choices_table)
        if (choice.name == word && (choice.places & place) != 0)
            return OptionWord{choice.name, Treatment::choice, choice.name, choice.places};
    for (const OptionWord& known : words_table)
        if (known.word == word && (known.places & place) != 0) return known;
    return std::nullopt;
}

std::string names_of_choices(OptionPlace place, std::string_view suffix) {
    std::string names;
    for (const ChoiceOption& choice : choices_table) {
        if ((choice.places & place) == 0) continue;
        if (!names.empty()) names += ", ";
        names.append(choice.name).append(suffix);
    }
    return names;
}

}  // namespace holdfast::client
