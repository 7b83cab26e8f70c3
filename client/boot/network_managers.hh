// Network managers of a Debian system, and the settings that make each leave the root disk's interface alone.
// The interface keeps the initramfs's configuration from the first moment of the system to the last: a
// manager that flushes, re-addresses or downs the interface would cut the system off from its root disk.
//
// Pure: text in, text out. network_handover.hh reads and writes the files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/config/network_choices.hh"

namespace holdfast::client {

// A file below /run, absent after a reboot.
struct RunFile {
    std::string path;  // "/run/..."
    std::string text;
    bool append = false;  // append to existing content of other programs

    bool operator==(const RunFile&) const = default;
};

// The system's init. /run/systemd/system must exist only under systemd: other programs take that folder as
// proof that systemd runs (sd_booted(3)).
enum class Init : std::uint8_t { systemd, other };

// The system's ifupdown variant, the interfaces already excluded in its /etc/default/networking, and the
// bridges and bonds that it makes of the root disk's interfaces.
struct Ifupdown {
    std::string excluded;
    bool is_ng = false;
    std::vector<std::string> above{};
};

// Returns the files that keep `owner` from the interfaces; empty if the owner exists only under systemd and
// systemd is not the init.
[[nodiscard]] std::vector<RunFile> files_against(NetworkOwner owner, Init init,
                                                 const std::vector<std::string>& interfaces,
                                                 const Ifupdown& ifupdown = {});

// Reads EXCLUDE_INTERFACES from the text of /etc/default/networking.
[[nodiscard]] std::string excluded_interfaces(std::string_view text);

// Reads the names of bridges and bonds from the text of interfaces(5), with one of the interfaces among their
// ports, or with a pattern in the place of ports.
[[nodiscard]] std::vector<std::string> interfaces_above(std::string_view text,
                                                        const std::vector<std::string>& interfaces);

// Finds the administrator's own configuration of an interface in `interfaces` and returns "FILE:LINE"; empty
// if there is none. For interfaces(5): the first iface stanza of such an interface.
[[nodiscard]] std::optional<std::string> place_in_interfaces(std::string_view file, std::string_view text,
                                                             const std::vector<std::string>& interfaces);
// For systemd.network(5): a [Match] section with a matching Name=.
[[nodiscard]] std::optional<std::string> place_in_network_file(std::string_view file, std::string_view text,
                                                               const std::vector<std::string>& interfaces);
// For nm-settings-keyfile(5): a connection of such an interface.
[[nodiscard]] std::optional<std::string> place_in_keyfile(std::string_view file, std::string_view text,
                                                          const std::vector<std::string>& interfaces);

// Name that sorts first: systemd-networkd takes the first matching file in the order of names, across all
// folders.
inline constexpr std::string_view network_file_name = "00-holdfast.network";
// Name that sorts last: of NetworkManager's sections for a device, that of a later file takes precedence. The
// file of netplan, which may manage every Ethernet card, is netplan.conf in the same folder.
inline constexpr std::string_view network_manager_file_name = "zz-holdfast.conf";

}  // namespace holdfast::client
