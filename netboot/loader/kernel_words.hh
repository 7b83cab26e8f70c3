// The kernel command line of a host, and the checks of what an administrator adds to it. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "netboot/loader/boot_menu.hh"
#include "netboot/name/host_keys.hh"

namespace holdfast::netboot {

// Longest command line of Linux on x86, without the terminating zero.
inline constexpr std::size_t longest_command_line = 2047;

// Words that pxelinux, GRUB and iPXE hand on unchanged: quotes, backslashes and dollar signs mean something
// else in each of them and are refused, and so are words that a loader reads itself. Returns the words with
// single blanks between them.
[[nodiscard]] Read<std::string> read_append(std::string_view words);
// True if one of the words separates images for mboot.c32.
[[nodiscard]] bool has_separator(std::string_view words);

// "ttyS0" or "ttyS0,9600", as console= has it; also "tty0", "hvc0" and the like.
[[nodiscard]] Read<std::string> read_console(std::string_view word);
// The serial line of a console; nullopt for other consoles.
[[nodiscard]] std::optional<SerialLine> serial_line_of(std::string_view console);

// Address or name of the NBD server, with an optional port; IPv6 in brackets.
[[nodiscard]] Read<std::string> read_server(std::string_view word);
// Any name without hidden characters, and without blanks at its ends.
[[nodiscard]] Read<std::string> read_export(std::string_view word);
// An absolute path of a device, or a word such as UUID=...
[[nodiscard]] Read<std::string> read_root(std::string_view word);

// True if the command line attaches the disk read-only and keeps changes in memory, as holdfast-client(8)
// reads it.
[[nodiscard]] bool keeps_changes_in_memory(std::string_view words);

// Parts of a command line; all are checked.
struct KernelWords {
    std::string root;
    std::string server;
    std::string export_name;
    std::vector<std::string> consoles;
    std::string append;
    bool shared = false;
    bool xen = false;
};

// Example: "root=/dev/nbd0 nbdroot=nbd://192.0.2.1/host ip=dhcp console=ttyS0". Words that the administrator
// appends come last and win; ip= is omitted if they have it. A shared disk is read-only ("ro"), with changes
// in memory ("holdfast.overlay=RAM", unless the administrator's words keep them there).
// Under Xen, which owns the serial line, console=ttyS0 becomes console=hvc0.
[[nodiscard]] std::string command_line_of(const KernelWords& words);
// Words of the hypervisor: its serial line, and those that the administrator appends to them.
[[nodiscard]] std::string xen_words_of(const std::vector<std::string>& consoles, const std::string& append);

}  // namespace holdfast::netboot
