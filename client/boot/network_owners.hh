// Who manages the network of a Debian system, and what makes each of them leave the root disk's interface
// alone: it stays as the initramfs configured it, from the first moment of the system to the last, since a
// manager that flushes, re-addresses or downs it takes the root disk away from itself.
//
// Pure: texts in, texts out. network_handover.hh reads and writes them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/config/network_choices.hh"

namespace holdfast::client {

// A file below /run, which no boot finds again.
struct RunFile {
    std::string path;  // "/run/..."
    std::string text;
    bool append = false;  // to what others may have written there

    bool operator==(const RunFile&) const = default;
};

// The init of the system. Only systemd may find /run/systemd/system: to everybody else, that folder says that
// systemd runs (sd_booted(3)).
enum class Init : std::uint8_t { systemd, other };

// Which ifupdown the system has, and the interfaces that its /etc/default/networking excludes already.
struct Ifupdown {
    std::string excluded;
    bool is_ng = false;
};

// What keeps `owner` from the interfaces; nothing where the owner does not exist without systemd.
[[nodiscard]] std::vector<RunFile> files_against(NetworkOwner owner, Init init,
                                                 const std::vector<std::string>& interfaces,
                                                 const Ifupdown& ifupdown = {});

// The value of EXCLUDE_INTERFACES in the text of /etc/default/networking.
[[nodiscard]] std::string excluded_interfaces(std::string_view text);

// Where the administrator has configured one of the interfaces himself: "FILE:LINE". Empty: nowhere.
// interfaces(5): the first iface stanza of one of them.
[[nodiscard]] std::optional<std::string> place_in_interfaces(std::string_view file, std::string_view text,
                                                             const std::vector<std::string>& interfaces);
// systemd.network(5): a [Match] section whose Name= matches one of them.
[[nodiscard]] std::optional<std::string> place_in_network_file(std::string_view file, std::string_view text,
                                                               const std::vector<std::string>& interfaces);
// nm-settings-keyfile(5): a connection of one of them.
[[nodiscard]] std::optional<std::string> place_in_keyfile(std::string_view file, std::string_view text,
                                                          const std::vector<std::string>& interfaces);

// systemd-networkd takes the first file that matches, in the order of their names, whatever folder they are
// in.
inline constexpr std::string_view network_file_name = "00-holdfast.network";

}  // namespace holdfast::client
