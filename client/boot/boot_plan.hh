// What the kernel command line and DHCP ask `boot` to attach. Knows no files, no sockets, no clock.
//
// Two steps, because the command line can be judged before there is a network, and a wrong word should be
// told at once rather than after a minute of waiting for DHCP:
//   read_boot_request()  command line -> nothing to do, or a request, or the word that is wrong
//   make_boot_plan()     request, DHCP answers, configuration file -> a plan, or what is missing
//
// The words: nbdroot= (repeated: further servers, in order of preference), nbddev=, root=, rootdelay=, ip=,
// and dracut's netroot=nbd:... and root=nbd:... What one nbdroot= word may look like is in
// client/address/boot_forms.txt. The disk is attached as the device that is named by, in this order:
// root=/dev/nbdN, nbddev=, the first nbdroot= (or DHCP root-path) that names one, else nbd0. Debian documents
// that root= comes before the rest. Where no word, or an empty nbdroot=, says anything about the server, it
// is the configuration file's for that device, and DHCP's where the file names none.
//
// All of this is for before the daemon's seal: it allocates.
#pragma once

#include "client/address/export_address.hh"
#include "client/config/choices.hh"
#include "client/config/config.hh"

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::client {

// What ipconfig learnt on one interface. Empty fields were not given; 0.0.0.0 has been made empty.
struct NetworkAnswer {
    std::string interface;
    std::string address;
    std::string root_server;  // DHCP's next-server, else the DHCP server itself
    std::string root_path;    // DHCP option 17
    std::string domain;
    std::vector<std::string> search;
    std::vector<std::string> name_servers;
    bool from_dhcp = false;
    std::uint32_t lease_seconds = 0;  // 0: DHCP named none; infinite_lease (dhcp_message.hh): for ever
    std::optional<std::uint64_t> leased_at = {};  // in seconds since the machine's start, rounded down

    bool operator==(const NetworkAnswer&) const = default;
};

// Which word is wrong, and a sentence that says what is wrong with it and the mend.
struct BootError {
    std::string word;  // "nbdroot=srv,70000"; empty: no word is wrong, there is no network and DHCP is needed
    std::string message;  // complete, with the word in it; one line, printable

    bool operator==(const BootError&) const = default;
};

// What the initramfs's other scripts may have set, besides the command line.
struct BootVariables {
    std::string nbdroot;  // NBDROOT: takes the place of every nbdroot= word (Debian documents it)
    std::string root;     // ROOT: the root device where the command line has no root=
};

// One nbdroot= word, as written and as read.
struct BootWord {
    std::string text;  // with its key: "nbdroot=srv,root"
    NamedExport named;
    bool says_nothing = false;  // empty, or none was there: the configuration file is asked before DHCP
};

struct BootRequest {
    std::vector<BootWord> servers;  // at least one
    std::optional<NbdDevice> nbddev;
    std::string root;                              // root= as given; empty when missing
    std::string ip;                                // ip= as given, for messages
    std::optional<std::chrono::seconds> patience;  // rootdelay=, at least 30 s; empty when missing
    std::vector<std::string> warnings;
};

struct BootPlan {
    std::vector<ServerAddress> servers;  // in order of preference; at least one; no two alike
    std::uint32_t device_index = 0;      // attach as nbdN
    std::string root;           // what is mounted: /dev/nbd0, /dev/nbd0p1, UUID=..., /dev/vg/root, ...
    bool root_changed = false;  // root is not what root= says: param_conf() tells the initramfs
    std::string root_fstype;    // dracut's form; empty: the initramfs finds out
    std::string root_flags;     // dracut's form; mount options
    Choices options;            // those of the first word over the configuration file's
    std::chrono::seconds patience{30};  // how long attaching is tried; at least 30 s
    std::vector<std::string> warnings;  // one line each, printable; to be logged
};

// Nothing (an empty optional) when the command line asks for no NBD root: the machine boots from its own
// disk. Asking is: an nbdroot= word, nbddev=, root=/dev/nbdN, netroot=nbd:... or root=nbd:..., or NBDROOT.
std::expected<std::optional<BootRequest>, BootError> read_boot_request(std::string_view command_line,
                                                                       const BootVariables& variables = {});

// `answers` in order of preference; empty when no interface has an address from ipconfig. `config` gives what
// the command line leaves open.
std::expected<BootPlan, BootError> make_boot_plan(const BootRequest& request,
                                                  const std::vector<NetworkAnswer>& answers,
                                                  const Config& config = {});

// One line for the console and the log: servers as URIs, device, root.
std::string describe(const BootPlan& plan);

// The lines for the initramfs's /conf/param.conf, quoted for the shell. Empty when there is nothing to hand
// back.
std::string param_conf(const BootPlan& plan);

// A command line's words as the kernel splits them: "..." keeps blanks together, what follows `--` is init's.
struct KernelWord {
    std::string key;
    std::string value;
    bool has_value = false;

    bool operator==(const KernelWord&) const = default;
};
std::vector<KernelWord> split_command_line(std::string_view command_line);

}  // namespace holdfast::client
