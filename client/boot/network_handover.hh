// Hands the root disk's network from the initramfs to the system: finds the interface, writes the files that
// keep the network managers from it (network_managers.hh), and reports the administrator's own configuration
// of that interface. Runs in the initramfs once the root file system is mounted, before any of its programs
// starts.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "client/boot/ipconfig.hh"
#include "client/boot/network_managers.hh"
#include "client/control/device_record.hh"
#include "client/link/endpoint.hh"

namespace holdfast::client {

// Folder paths. The defaults are the initramfs's; tests use their own folders.
struct HandoverFolders {
    std::string root;         // mount point of the root file system: "" or "/root"
    Init init = Init::other;  // the system's init
    std::string run = "/run";
    std::string interfaces = "/sys/class/net";
};

// Path to a server: the source address of packets to the server, and the interface with this address. Empty
// if there is no route, or for a UNIX socket.
struct Way {
    std::string address;  // numeric
    std::string interface;
};
[[nodiscard]] Way way_to(const Endpoint& endpoint);

// Interfaces on the paths to all servers of a device, those to the server in use first, each followed by its
// lower interfaces (the ports of a bond or a bridge, the link of a VLAN). May be empty.
struct RootNetwork {
    std::uint32_t device = 0;  // nbdN
    std::string address;       // source address towards the server in use
    std::vector<std::string> interfaces;
    bool lost = false;  // no route leads to the server in use, which is on the network
};
[[nodiscard]] RootNetwork network_towards(const HandoverFolders& folders, const KnownDevice& known,
                                          const std::function<Way(const Endpoint&)>& find_way = way_to);

// Detects the init at `path` in the root file system: /sbin/init, or the path in init= on the kernel command
// line.
[[nodiscard]] Init init_of(const std::string& root, const std::string& path);

// Returns the networks of all attached devices that carry the root file system, from the records in
// /run/holdfast.
[[nodiscard]] std::vector<RootNetwork> root_networks(const HandoverFolders& folders);

struct Handover {
    std::vector<std::string> kept_from;  // names of the managers that now leave the interfaces alone
    std::vector<std::string> warnings;   // the administrator's own configuration, and failures
};

// Writes the files for all networks together (each names every interface), and /run/holdfast/nbdN.network for
// `status`.
[[nodiscard]] Handover hand_over(const HandoverFolders& folders, const std::vector<RootNetwork>& networks,
                                 const NetworkChoices& choices);

// Writes the facts of the answers for these networks, for network-hooks/lease-facts: INTERFACE.boot has those
// of IPv4, INTERFACE.boot6 those of DHCPv6. Returns the failures.
[[nodiscard]] std::vector<std::string> hand_over_facts(const HandoverFolders& folders,
                                                       const std::vector<RootNetwork>& networks,
                                                       const std::vector<NetworkAnswer>& answers,
                                                       const NetworkChoices& choices);

// Describes the result of hand_over() for a device; empty if hand_over() was not called.
[[nodiscard]] std::string describe_handover(std::uint32_t device);

}  // namespace holdfast::client
