// The configuration files that the settings call for. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "netboot/loader/boot_menu.hh"
#include "netboot/plan/host.hh"

namespace holdfast::netboot {

// Menu of a host: its kernel and the previous one. `owner` is the text of the first line's "for".
[[nodiscard]] BootMenu menu_of(const TreeSettings& settings, const Host& host, std::string owner);
// Kernel command line of the host, without BOOTIF.
[[nodiscard]] std::string command_line_of(const TreeSettings& settings, const Host& host);

// Files by which loaders find the host. None without a kernel: a loader would fail on such a file instead of
// trying the next boot device.
[[nodiscard]] Texts files_of(const TreeSettings& settings, const Host& host);
// Files of the tree: the search of the loaders, and the texts for unknown machines, which are those of the
// default host if it is among the hosts and has a kernel.
[[nodiscard]] Texts files_of(const TreeSettings& settings, const std::vector<Host>& hosts);

// The name of the host that has a key of this host already; nullopt if there is none.
struct Clash {
    std::string host;
    std::string key;  // the name of the file
};
[[nodiscard]] std::optional<Clash> clash_of(const Host& host, const std::vector<Host>& hosts);

// The host that loaders find for a machine, and the file of pxelinux; nullopt if only the default is left.
struct Found {
    const Host* host;
    std::string file;
};
[[nodiscard]] std::optional<Found> find_host(const Keys& machine, const std::vector<Host>& hosts);

}  // namespace holdfast::netboot
