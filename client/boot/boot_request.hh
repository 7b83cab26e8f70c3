// The kernel command line as a request to boot from an NBD disk. Pure; use only before the daemon's seal.
//
// The words: nbdroot= (repeated: further servers, in order of preference), nbddev=, root=, rootdelay=, ip=,
// nbd.max_part=, and dracut's netroot=nbd:... and root=nbd:... The forms of an nbdroot= word are in
// client/address/boot_forms.txt.
#pragma once

#include <chrono>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/address/named_export.hh"

namespace holdfast::client {

// The invalid word, and a message that explains the fault and the fix.
struct BootError {
    std::string
        word;  // "nbdroot=srv,70000"; empty: no invalid word, but DHCP is needed and there is no network
    std::string message;  // complete, including the word; one line, printable

    bool operator==(const BootError&) const = default;
};

// Variables that other initramfs scripts may set, besides the command line.
struct BootVariables {
    std::string nbdroot;   // NBDROOT: replaces every nbdroot= word (documented by Debian)
    std::string root;      // ROOT: root device if the command line has no root=
    std::string max_part;  // parameter of the nbd module, from /sys; empty: the module is not loaded
};

// An nbdroot= word, as text and parsed.
struct BootWord {
    std::string text;  // including its key: "nbdroot=srv,root"
    NamedExport named;
    bool says_nothing = false;  // empty or missing: the configuration file is used before DHCP
};

inline constexpr std::chrono::seconds least_patience{30};  // the initramfs's own wait for a root device

struct BootRequest {
    std::vector<BootWord> servers;  // at least one
    std::optional<NbdDevice> nbddev;
    std::string root;                              // root= as given; empty if missing
    std::string ip;                                // ip= as given, for messages
    bool no_partitions = false;                    // the nbd module's max_part is 0
    std::optional<std::chrono::seconds> patience;  // rootdelay=, at least least_patience; empty if missing
    std::optional<std::chrono::seconds> limit;     // longest time for an attempt, whatever the words say
    std::vector<std::string> warnings;
};

// Returns nullopt if the command line requests no NBD root: the machine boots from its own disk. A request is
// an nbdroot= word, nbddev=, root=/dev/nbdN, netroot=nbd:..., root=nbd:..., or NBDROOT.
std::expected<std::optional<BootRequest>, BootError> read_boot_request(std::string_view command_line,
                                                                       const BootVariables& variables = {});

// Makes an error for a word.
std::unexpected<BootError> wrong_word(std::string_view word, std::string_view message);

}  // namespace holdfast::client
