// The one table of options: each choice with its values and the places that accept the choice, and the words
// of other programs (nbd-client, dracut, nbdtab) with their treatment. The parsers of all places and the
// texts that list options are made from the table; a unit test compares help, manual and completion with the
// table. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "client/config/choices.hh"

namespace holdfast::client {

// Places where an option may stand; combined as bits.
enum OptionPlace : std::uint8_t {
    in_attach = 1,    // `holdfast-client attach`
    in_takeover = 2,  // `holdfast-client takeover`
    in_nbdroot = 4,   // a word of nbdroot=, or dracut's
    in_devices = 8,   // /etc/holdfast/devices
    in_config = 16,   // /etc/holdfast/client.conf
    in_all_places = 31,
};

// An option that sets a member of Choices.
struct ChoiceOption {
    std::string_view name;  // a literal: ends with a NUL
    std::uint8_t places;    // bits of OptionPlace
    char letter;            // short form on the command line of attach; 0: none
    bool (*read)(std::string_view value, Choices& choices);  // false: invalid value
    std::string_view values;                                 // valid values, for messages
};
[[nodiscard]] std::span<const ChoiceOption> choice_options() noexcept;

enum class Treatment : std::uint8_t {
    choice,     // `note` is the choice's name
    read_only,  // the choice read-only, without a value
    read_write,
    port,  // in_devices only, with the next five
    unix_socket,
    server,
    no_auto,
    in_initramfs,
    may_fail,
    always_so,  // accepted: describes the way Holdfast works anyway
    no_effect,  // `note` is the reason
    refused,    // `note` is the reason
};

// An option as written in nbdroot= or in the table of devices.
struct OptionWord {
    std::string_view word;
    Treatment treatment;
    std::string_view note;
    std::uint8_t places;
};
// Returns nullopt if the place has no such option.
[[nodiscard]] std::optional<OptionWord> find_option(std::string_view word, OptionPlace place) noexcept;

// Returns the names of the choices accepted in a place, each followed by `suffix`: "timeout=, wait=".
[[nodiscard]] std::string names_of_choices(OptionPlace place, std::string_view suffix);

}  // namespace holdfast::client
