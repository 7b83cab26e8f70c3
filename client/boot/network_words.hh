// The network devices that the kernel command line describes, and the card that it chooses: vlan=, bond=,
// BOOTIF=, and the device in ip=. Pure; use only before the daemon's seal.
//
// The forms are those of dracut and of Ubuntu's initramfs-tools:
//   vlan=NAME:DEVICE                            the ID is the number at the end of the name: eth0.5, vlan0005
//   bond=NAME[:PORT,PORT...[:OPTIONS[:MTU]]]    OPTIONS: KEY=VALUE,..., the kernel's keys; values of a key
//                                               are separated by ';'
//   BOOTIF=01-HH-HH-HH-HH-HH-HH                 pxelinux, GRUB, iPXE; the 01- may be missing, ':' works, too
// Debian's initramfs-tools knows only BOOTIF= and ip=.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "client/boot/boot_request.hh"

namespace holdfast::client {

struct BondWord {
    std::string name;
    std::vector<std::string> ports;
    std::vector<std::pair<std::string, std::string>> options;  // the mode first
    std::uint32_t mtu = 0;                                     // 0: the kernel's default

    bool operator==(const BondWord&) const = default;
};

struct VlanWord {
    std::string name;
    std::string lower;  // device that the VLAN is on
    std::uint16_t id = 0;

    bool operator==(const VlanWord&) const = default;
};

struct NetworkWords {
    std::vector<BondWord> bonds;
    std::vector<VlanWord> vlans;
    std::string interface;  // the device in ip=, or the only bond or VLAN that carries no other; or empty
    std::string
        hardware_address;  // from BOOTIF=, as in /sys/class/net/*/address; empty if `interface` is not
};

// Names of devices have only letters, digits, and "._-", and keys and values of options only those and
// "+;": they need no quotes in a shell.
std::expected<NetworkWords, BootError> read_network_words(std::string_view command_line);

// A network interface of this machine.
struct NetworkCard {
    std::string name;
    std::string hardware_address;
};

// Returns the lines for the initramfs's script: what to make, in this order, and then what to configure.
//   bond NAME MTU PORT[,PORT...] [KEY=VALUE...]
//   vlan NAME DEVICE ID
//   card NAME                 only this interface; "-" if BOOTIF= names a card that has not appeared
std::string network_steps(const NetworkWords& words, const std::vector<NetworkCard>& cards);

// Returns a warning if `ip` is written by pxelinux (IPAPPEND 1, SYSAPPEND 1), with an address from DHCP that
// nothing renews: four addresses, one of them the boot server's, and no more. Otherwise empty.
std::string leased_address_warning(std::string_view ip);

}  // namespace holdfast::client
