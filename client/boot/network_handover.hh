// Hands the root disk's network from the initramfs to the system: finds the interface, writes what keeps the
// network's managers from it (network_owners.hh), and tells of what an administrator has configured for it.
// Runs in the initramfs when the root file system is mounted and nothing of it has begun to run.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "client/boot/network_owners.hh"
#include "client/control/record.hh"
#include "client/link/endpoint.hh"

namespace holdfast::client {

// Where things are. The defaults are the initramfs's; tests name folders of their own.
struct HandoverFolders {
    std::string root;         // where the root file system is mounted: "" or "/root"
    Init init = Init::other;  // of the system that is on it
    std::string run = "/run";
    std::string interfaces = "/sys/class/net";
};

// The way to a server: the address that a packet to it would have as its source, and the interface that has
// this address. Empty where there is none (a UNIX socket, no route).
struct Way {
    std::string address;  // numeric
    std::string interface;
};
[[nodiscard]] Way way_to(const Endpoint& endpoint);

// The interfaces on the ways to all servers of a device, that of the server in use first, each with all below
// it (the ports of a bond or a bridge, the link of a VLAN). Empty: there are none.
struct RootNetwork {
    std::uint32_t device = 0;  // nbdN
    std::string address;       // towards the server in use
    std::vector<std::string> interfaces;
};
[[nodiscard]] RootNetwork network_towards(const HandoverFolders& folders, const KnownDevice& known,
                                          const std::function<Way(const Endpoint&)>& find_way = way_to);

// What `path`, in the root file system, is: /sbin/init, or what init= on the kernel command line names.
[[nodiscard]] Init init_of(const std::string& root, const std::string& path);

// The networks of all attached devices that carry the root file system, by the records in /run/holdfast.
[[nodiscard]] std::vector<RootNetwork> root_networks(const HandoverFolders& folders);

struct Handover {
    std::vector<std::string> kept_from;  // who leaves the interfaces alone from now on, in words
    std::vector<std::string> warnings;   // what the administrator configured, and what could not be done
};

// Writes the files for all networks together (each names every interface), and /run/holdfast/nbdN.network for
// `status`.
[[nodiscard]] Handover hand_over(const HandoverFolders& folders, const std::vector<RootNetwork>& networks,
                                 const NetworkChoices& choices);

// What hand_over() did for a device, in words; empty when it was not called.
[[nodiscard]] std::string describe_handover(std::uint32_t device);

}  // namespace holdfast::client
