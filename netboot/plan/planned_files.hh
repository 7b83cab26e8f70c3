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
// The NBD server of the host.
[[nodiscard]] std::string server_of(const TreeSettings& settings, const Host& host);
// Kernel command line of the host, without BOOTIF.
[[nodiscard]] std::string command_line_of(const TreeSettings& settings, const Host& host);

// Why an entry with Xen, the current or the previous one, cannot boot with the words and consoles of the
// host; empty: it can, or there is none.
[[nodiscard]] std::string fault_with_xen(const Host& host);

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

// True if several machines may become this host: all unknown ones, or those of a network.
[[nodiscard]] bool is_for_many(const TreeSettings& settings, const Host& host);
// Another host with the same export of the same server, unless both are shared; nullptr if there is none.
[[nodiscard]] const Host* other_on_disk(const TreeSettings& settings, const Host& host,
                                        const std::vector<Host>& hosts);

// A loader's file, edited or made by hand, by which a machine would write to the disk of a host: another
// machine than that of the host, or one of a shared host, whose read-only words the file lacks.
struct Writer {
    std::string path;
    std::string host;
    bool is_own = false;  // the file is one of the host's
    bool operator==(const Writer&) const = default;
};
// `texts`: all loaders' files on disk.
[[nodiscard]] std::vector<Writer> writers_by_hand(const TreeSettings& settings,
                                                  const std::vector<Host>& hosts, const Texts& texts);

// The host that loaders find for a machine, and the file of pxelinux; nullopt if only the default is left.
struct Found {
    const Host* host;
    std::string file;
};
[[nodiscard]] std::optional<Found> find_host(const Keys& machine, const std::vector<Host>& hosts);

}  // namespace holdfast::netboot
