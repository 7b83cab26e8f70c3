// Reads and writes the initramfs's files for `boot`: the command line, ipconfig's answers, resolv.conf,
// param.conf.
//
// A thin I/O layer around boot_plan.hh and ipconfig.hh, whose pure functions parse and make each file's text.
// Use only before the daemon's seal; blocks no longer than a read of a small file.
#pragma once

#include "client/boot/boot_plan.hh"
#include "client/boot/boot_request.hh"
#include "client/boot/ipconfig.hh"

#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::client {

// File paths. The defaults are the initramfs's; tests use their own folder.
struct BootFiles {
    std::string command_line = "/proc/cmdline";
    std::string run = "/run";  // folder of ipconfig's net-IFACE.conf, and of networkd's files
    std::string tmp = "/tmp";  // folder of dracut's dhclient.IFACE.dhcpopts
    std::string interfaces = "/sys/class/net";
    std::string resolv_conf = "/etc/resolv.conf";
    std::string param_conf = "/conf/param.conf";  // sourced by the initramfs after each boot script
    std::string max_part = "/sys/module/nbd/parameters/max_part";
    std::string root = "/";
};

// True if the root file system is in memory (tmpfs or ramfs) and has an initramfs marker: /etc/initrd-release
// (systemd, dracut) or /conf/initramfs.conf (initramfs-tools). The marker is needed because a system may also
// have its root in memory.
bool in_initramfs(const BootFiles& files);

// Reads the kernel command line, without its newline. The error names file and reason.
std::expected<std::string, std::string> read_command_line(const BootFiles& files);

// Reads NBDROOT, ROOT and resume from the process's environment, and the nbd module's parameter.
BootVariables read_boot_variables(const BootFiles& files);

// Reads every /run/net-IFACE.conf and net6-IFACE.conf that has an address, sorted by name. Unreadable files
// and files without an address are left out. In dracut's initramfs, which has no such files, reads those of
// its DHCP clients and the addresses of the interfaces.
std::vector<NetworkAnswer> read_network_answers(const BootFiles& files);

// The same for the clients of dracut, whatever the root file system: an entry for each interface with a file,
// possibly without an address.
std::vector<NetworkAnswer> read_dracut_answers(const BootFiles& files);

// Adds the answers of dracut's clients, with the addresses of the interfaces, unless ipconfig has configured
// an interface.
void add_dracut_answers(const BootFiles& files, std::vector<NetworkAnswer>& answers);

// Returns the value of ip= on the kernel command line; empty if absent or unreadable.
std::string ip_word(const BootFiles& files);

// Returns the network interfaces except lo, sorted.
std::vector<std::string> network_interfaces(const BootFiles& files);

// True if resolv.conf names a server.
bool names_resolver(const BootFiles& files);

// Writes resolv.conf unless it already names a server (Debian 13's initramfs writes the file itself, Debian
// 12's does not). glibc reads a changed file again at the next getaddrinfo().
std::expected<void, std::string> write_resolver_configuration(const BootFiles& files,
                                                              const std::vector<NetworkAnswer>& answers);

// Appends param_conf(plan) to the initramfs's param.conf; does nothing if param_conf() is empty. Call it
// after the device is attached, so that a failed boot leaves ROOT= unchanged.
std::expected<void, std::string> hand_back(const BootFiles& files, const BootPlan& plan);

}  // namespace holdfast::client
