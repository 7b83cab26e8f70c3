// Determines from the kernel command line and DHCP which export `boot` attaches. Uses no files, sockets or
// clock.
//
// Two steps, because the command line can be checked before there is a network, so that an invalid word is
// reported at once rather than after a minute of waiting for DHCP:
//   read_boot_request()  command line -> nothing to do, a request, or the invalid word
//   make_boot_plan()     request, DHCP answers, configuration file -> a plan, or the missing part
//
// The words: nbdroot= (repeated: further servers, in order of preference), nbddev=, root=, rootdelay=, ip=,
// and dracut's netroot=nbd:... and root=nbd:... The forms of an nbdroot= word are in
// client/address/boot_forms.txt. The device name is taken from the first source that has it: root=/dev/nbdN,
// nbddev=, the nbdroot= words (or DHCP root-path) in order, else nbd0. Debian documents that root= takes
// precedence. If no word names a server, or nbdroot= is empty, the server comes from the configuration file's
// section for that device, or from DHCP if the file has none.
//
// Use only before the daemon's seal: it allocates.
#pragma once

#include "client/address/named_export.hh"
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

// ipconfig's result for an interface. Fields not supplied are empty; 0.0.0.0 is converted to empty.
struct NetworkAnswer {
    std::string interface;
    std::string address;
    std::string root_server;  // DHCP's next-server, or the DHCP server itself
    std::string root_path;    // DHCP option 17
    std::string domain;
    std::vector<std::string> search;
    std::vector<std::string> name_servers;
    bool from_dhcp = false;
    std::uint32_t lease_seconds = 0;  // 0: not in DHCP's answer; infinite_lease (dhcp_message.hh): unlimited
    std::optional<std::uint64_t> leased_at = {};  // in seconds since the machine's start, rounded down

    bool operator==(const NetworkAnswer&) const = default;
};

// The invalid word, and a message that explains the fault and the fix.
struct BootError {
    std::string
        word;  // "nbdroot=srv,70000"; empty: no invalid word, but DHCP is needed and there is no network
    std::string message;  // complete, including the word; one line, printable

    bool operator==(const BootError&) const = default;
};

// Variables that other initramfs scripts may set, besides the command line.
struct BootVariables {
    std::string nbdroot;  // NBDROOT: replaces every nbdroot= word (documented by Debian)
    std::string root;     // ROOT: root device if the command line has no root=
};

// An nbdroot= word, as text and parsed.
struct BootWord {
    std::string text;  // including its key: "nbdroot=srv,root"
    NamedExport named;
    bool says_nothing = false;  // empty or missing: the configuration file is used before DHCP
};

struct BootRequest {
    std::vector<BootWord> servers;  // at least one
    std::optional<NbdDevice> nbddev;
    std::string root;                              // root= as given; empty if missing
    std::string ip;                                // ip= as given, for messages
    std::optional<std::chrono::seconds> patience;  // rootdelay=, at least 30 s; empty if missing
    std::vector<std::string> warnings;
};

struct BootPlan {
    std::vector<ServerAddress> servers;  // in order of preference; at least one element; no duplicates
    std::uint32_t device_index = 0;      // attach as nbdN
    std::string root;           // device to mount: /dev/nbd0, /dev/nbd0p1, UUID=..., /dev/vg/root, ...
    bool root_changed = false;  // root differs from root=: param_conf() reports the change to the initramfs
    std::string root_fstype;    // dracut's form; empty: the initramfs detects the type
    std::string root_flags;     // dracut's form; mount options
    Choices options;            // options of the first word, then the configuration file's
    std::chrono::seconds patience{30};  // time limit for attaching; at least 30 s
    std::vector<std::string> warnings;  // for the log: one line each, printable
};

// Returns nullopt if the command line requests no NBD root: the machine boots from its own disk. A request is
// an nbdroot= word, nbddev=, root=/dev/nbdN, netroot=nbd:..., root=nbd:..., or NBDROOT.
std::expected<std::optional<BootRequest>, BootError> read_boot_request(std::string_view command_line,
                                                                       const BootVariables& variables = {});

// `answers`: in order of preference; empty if no interface has an address from ipconfig. `config` supplies
// the values that the command line leaves open.
std::expected<BootPlan, BootError> make_boot_plan(const BootRequest& request,
                                                  const std::vector<NetworkAnswer>& answers,
                                                  const Config& config = {});

// Returns a line for the console and the log: servers as URIs, device, root.
std::string describe(const BootPlan& plan);

// Returns the lines for the initramfs's /conf/param.conf, quoted for the shell. Empty if there is nothing to
// report.
std::string param_conf(const BootPlan& plan);

// A word of the command line, split as in the kernel: "..." keeps blanks together; words after `--` belong to
// init.
struct KernelWord {
    std::string key;
    std::string value;
    bool has_value = false;

    bool operator==(const KernelWord&) const = default;
};
std::vector<KernelWord> split_command_line(std::string_view command_line);

}  // namespace holdfast::client
