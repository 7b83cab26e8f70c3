// What `boot` reads and writes in the initramfs: the command line, ipconfig's answers, resolv.conf,
// param.conf.
//
// A thin edge around boot_plan.hh: the parsing of every file's text is a pure function of its own and tested
// as one. All of this is for before the daemon's seal, and blocks for no longer than a read of a small file.
#pragma once

#include "client/boot/boot_plan.hh"
#include "client/lease/lease.hh"

#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::client {

// Where things are. The defaults are the initramfs's; tests name a folder of their own.
struct BootFiles {
    std::string command_line = "/proc/cmdline";
    std::string run = "/run";  // ipconfig's net-IFACE.conf are here
    std::string interfaces = "/sys/class/net";
    std::string resolv_conf = "/etc/resolv.conf";
    std::string param_conf = "/conf/param.conf";  // sourced by the initramfs after each boot script
    std::string root = "/";
};

// The root file system is in memory (tmpfs or ramfs), and has the mark of an initramfs: /etc/initrd-release
// (systemd, dracut) or /conf/initramfs.conf (initramfs-tools). A system may have its root in memory, too.
bool in_initramfs(const BootFiles& files);

// The kernel command line, without its newline. The error names file and reason.
std::expected<std::string, std::string> read_command_line(const BootFiles& files);

// NBDROOT and ROOT of the process's environment.
BootVariables read_boot_variables();

// Every /run/net-IFACE.conf with an address, in the order of their names. A file that cannot be read or that
// names no address is left out.
std::vector<NetworkAnswer> read_network_answers(const BootFiles& files);

// The text of one net-IFACE.conf. Nothing of it is executed; a line that is not KEY=value in the shell's
// plain quoting is skipped, and so is a key that is not needed.
NetworkAnswer parse_network_answer(std::string_view text);

// The value of ip= on the kernel command line; empty where it has none or cannot be read.
std::string ip_word(const BootFiles& files);

// The DHCP leases among them that have an end, for the daemon to renew. Their hardware addresses are not
// known yet. `ip_word`: ip= of the command line, from which ipconfig takes the host name that it sends.
std::vector<GrantedLease> leases_in(const std::vector<NetworkAnswer>& answers, std::string_view ip_word);

// The network interfaces except lo, sorted.
std::vector<std::string> network_interfaces(const BootFiles& files);

// Says that there is no network and what to do; empty when there is an address. An IPv6-only network has no
// answer from ipconfig either, so this is a reason to give with a failure, not a failure.
std::string network_problem(const std::vector<NetworkAnswer>& answers,
                            const std::vector<std::string>& interfaces, std::string_view ip_word);

// The text of a resolv.conf with what the answers name; empty when they name no server.
std::string resolver_configuration(const std::vector<NetworkAnswer>& answers);

// Writes resolv.conf unless it names a server already (Debian 13's initramfs writes one itself, Debian 12's
// does not). Call it before the first getaddrinfo(): glibc reads the file once.
std::expected<void, std::string> write_resolver_configuration(const BootFiles& files,
                                                              const std::vector<NetworkAnswer>& answers);

// Appends param_conf(plan) to the initramfs's param.conf; does nothing where that is empty. Call it when the
// device is attached, so that a failed boot leaves ROOT= as it was.
std::expected<void, std::string> hand_back(const BootFiles& files, const BootPlan& plan);

}  // namespace holdfast::client
