// Options of nbd-client, as nbdtab(5) and nbd-client's command line name them, and the fate of each in an
// import. Pure. Use only before the daemon's seal.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace holdfast::client {

// An option of nbd-client: its word in nbdtab, its forms on the command line, which /etc/nbd-client contains,
// and its fate.
struct NbdClientOption {
    enum class Fate : std::uint8_t {
        kept,      // has a counterpart of the same meaning; a `reason` is a difference worth a note
        needless,  // left out, because Holdfast does so anyway, or has no need
        refused,   // without it, the device would not be the same disk, or not protected
        name,      // the export's name, which is a field of the table
    };
    std::string_view word;       // in nbdtab
    std::string_view long_form;  // after one or two dashes; empty: only in nbdtab
    char letter;                 // 0: none
    bool has_value;
    Fate fate;
    std::string_view reason;
};
[[nodiscard]] std::span<const NbdClientOption> nbd_client_options() noexcept;

// Finds an option by its word in nbdtab; null if nbd-client has no such option.
[[nodiscard]] const NbdClientOption* find_nbdtab_option(std::string_view word) noexcept;

// An option of nbd-client's command line: -b 512, -b512, --block-size=512, -block-size 512.
struct CommandLineOption {
    const NbdClientOption* option = nullptr;  // null: unknown
    std::optional<std::string_view> value;    // in the same word
};

[[nodiscard]] CommandLineOption read_command_line_option(std::string_view word) noexcept;

}  // namespace holdfast::client
