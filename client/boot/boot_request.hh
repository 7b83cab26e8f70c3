// The kernel command line as a request to boot from an NBD disk. Pure; use only before the daemon's seal.
//
// The words: nbdroot= (repeated: further servers, in order of preference), nbddev=, root=, rootdelay=, ip=,
// nbd.max_part=, dracut's netroot=nbd:... and root=nbd:..., and those of memory_root.hh and disk_words.hh.
// The forms of an nbdroot= word are in client/address/boot_forms.txt.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/address/named_export.hh"
#include "client/boot/boot_error.hh"
#include "client/boot/memory_root.hh"
#include "client/config/choices.hh"

namespace holdfast::client {

// Variables that other initramfs scripts may set, besides the command line.
struct BootVariables {
    std::string nbdroot{};   // NBDROOT: replaces every nbdroot= word (documented by Debian)
    std::string root{};      // ROOT: root device if the command line has no root=
    std::string max_part{};  // parameter of the nbd module, from /sys; empty: the module is not loaded
    std::string resume{};    // resume: the initramfs's disk to resume from, by resume= or its configuration
};

// An nbdroot= word, as text and parsed.
struct BootWord {
    std::string text;  // including its key: "nbdroot=srv,root"
    NamedExport named;
    bool says_nothing = false;  // empty or missing: the configuration file is used before DHCP
};

// A holdfast.disk= word.
struct DiskWord {
    BootWord word;
    std::uint32_t index = 0;
    bool may_fail = false;  // nofail
};

inline constexpr std::chrono::seconds least_patience{30};  // the initramfs's own wait for a root device

struct BootRequest {
    std::vector<BootWord> servers;  // at least one
    std::vector<DiskWord> disks;    // further disks
    std::optional<NbdDevice> nbddev;
    std::string root;                              // root= as given; empty if missing
    std::string ip;                                // ip= as given, for messages
    bool no_partitions = false;                    // the nbd module's max_part is 0
    std::optional<std::chrono::seconds> patience;  // rootdelay=, at least least_patience; empty if missing
    std::optional<std::chrono::seconds> limit;     // longest time for an attempt, whatever the words say
    MemoryRoot memory;                             // holdfast.overlay=, holdfast.toram
    bool ignores_resume = false;  // the initramfs would wait for a disk to resume from hibernation
    std::vector<std::string> warnings;
};

// Fails if `options`, which `word` gives the root disk, contradict the choice to keep changes in memory.
std::expected<void, BootError> check_access(const MemoryRoot& memory, std::string_view word,
                                            const Choices& options);

// Returns nullopt if the command line requests no NBD root: the machine boots from its own disk. A request is
// an nbdroot= word, nbddev=, root=/dev/nbdN, netroot=nbd:..., root=nbd:..., or NBDROOT.
std::expected<std::optional<BootRequest>, BootError> read_boot_request(std::string_view command_line,
                                                                       const BootVariables& variables = {});

}  // namespace holdfast::client
