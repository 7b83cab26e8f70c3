// Reads and writes the initramfs's files for `boot`: the command line, ipconfig's answers, resolv.conf,
// param.conf.
//
// A thin I/O layer around boot_plan.hh: each file's text is parsed by a separate pure function with its own
// tests. Use only before the daemon's seal; blocks no longer than a read of a small file.
#pragma once

#include "client/boot/boot_plan.hh"
#include "client/lease/lease.hh"

#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::client {

// File paths. The defaults are the initramfs's; tests use their own folder.
struct BootFiles {
    std::string command_line = "/proc/cmdline";
    std::string run = "/run";  // folder of ipconfig's net-IFACE.conf
    std::string interfaces = "/sys/class/net";
    std::string resolv_conf = "/etc/resolv.conf";
    std::string param_conf = "/conf/param.conf";  // sourced by the initramfs after each boot script
    std::string root = "/";
};

// True if the root file system is in memory (tmpfs or ramfs) and has an initramfs marker: /etc/initrd-release
// (systemd, dracut) or /conf/initramfs.conf (initramfs-tools). The marker is needed because a system may also
// have its root in memory.
bool in_initramfs(const BootFiles& files);

// Reads the kernel command line, without its newline. The error names file and reason.
std::expected<std::string, std::string> read_command_line(const BootFiles& files);

// Reads NBDROOT and ROOT from the process's environment.
BootVariables read_boot_variables();

// Reads every /run/net-IFACE.conf that has an address, sorted by name. Unreadable files and files without an
// address are left out.
std::vector<NetworkAnswer> read_network_answers(const BootFiles& files);

// Parses the text of a net-IFACE.conf without executing it; skips unneeded keys, and lines that are not
// KEY=value in the shell's plain quoting.
NetworkAnswer parse_network_answer(std::string_view text);

// Returns the value of ip= on the kernel command line; empty if absent or unreadable.
std::string ip_word(const BootFiles& files);

// Returns the DHCP leases with an end, for the daemon to renew. Hardware addresses are not filled in.
// `ip_word`: ip= of the command line, from which ipconfig takes the host name that it sends.
std::vector<GrantedLease> leases_in(const std::vector<NetworkAnswer>& answers, std::string_view ip_word);

// Returns the network interfaces except lo, sorted.
std::vector<std::string> network_interfaces(const BootFiles& files);

// Explains why there is no network and how to fix it; empty if there is an address. An IPv6-only network also
// has no answer from ipconfig, so use the text to explain a failure, not to detect one.
std::string network_problem(const std::vector<NetworkAnswer>& answers,
                            const std::vector<std::string>& interfaces, std::string_view ip_word);

// Returns the text of a resolv.conf for the answers; empty if they contain no name server.
std::string resolver_configuration(const std::vector<NetworkAnswer>& answers);

// Writes resolv.conf unless it already names a server (Debian 13's initramfs writes the file itself, Debian
// 12's does not). Call it before the first getaddrinfo(): glibc reads the file once.
std::expected<void, std::string> write_resolver_configuration(const BootFiles& files,
                                                              const std::vector<NetworkAnswer>& answers);

// Appends param_conf(plan) to the initramfs's param.conf; does nothing if param_conf() is empty. Call it
// after the device is attached, so that a failed boot leaves ROOT= unchanged.
std::expected<void, std::string> hand_back(const BootFiles& files, const BootPlan& plan);

}  // namespace holdfast::client
