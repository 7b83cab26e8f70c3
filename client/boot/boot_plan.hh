// Determines from the kernel command line and DHCP which export `boot` attaches. Uses no files, sockets or
// clock.
//
// Two steps, because the command line can be checked before there is a network, so that an invalid word is
// reported at once rather than after a minute of waiting for DHCP:
//   read_boot_request()  command line -> nothing to do, a request, or the invalid word (boot_request.hh)
//   make_boot_plan()     request, DHCP answers, configuration file -> a plan, or the missing part
//
// The device name is taken from the first source that has it: root=/dev/nbdN, nbddev=, the nbdroot= words (or
// DHCP root-path) in order, else nbd0. Debian documents that root= takes precedence. If no word names a
// server, or nbdroot= is empty, the server comes from the configuration file's section for that device, or
// from DHCP if the file has none.
//
// Use only before the daemon's seal: it allocates.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "client/address/server_address.hh"
#include "client/boot/boot_request.hh"
#include "client/boot/further_disks.hh"
#include "client/boot/ipconfig.hh"
#include "client/config/choices.hh"
#include "client/config/config.hh"
#include "client/config/device_table.hh"

namespace holdfast::client {

struct BootPlan {
    std::vector<ServerAddress> servers;  // in order of preference; at least one element; no duplicates
    std::uint32_t device_index = 0;      // attach as nbdN
    std::string root;           // device to mount: /dev/nbd0, /dev/nbd0p1, UUID=..., /dev/vg/root, ...
    bool root_changed = false;  // root differs from root=: param_conf() reports the change to the initramfs
    std::string root_fstype;    // dracut's form; empty: the initramfs detects the type
    std::string root_flags;     // dracut's form; mount options
    Choices options;            // options of the first word, then the configuration file's
    // Time limit for attaching: at least 30 s, or the limit of the request.
    std::chrono::seconds patience{30};
    bool file_decides_patience = false;  // neither rootdelay= nor wait= on the command line
    MemoryRoot memory;                   // as requested; then the options are read-only
    bool ignores_resume = false;         // see BootRequest
    std::vector<FurtherDisk> further;    // attached after the root disk
    std::vector<std::string> warnings;   // for the log: one line each, printable
};

// Returns the time for the attempts as far as it is known without a network: options in DHCP's root-path may
// lengthen it.
[[nodiscard]] std::chrono::seconds foreseen_patience(const BootRequest& request, const Config& config);

// `answers`: in order of preference; empty if no interface has an address from ipconfig. `config` supplies
// the values that the command line leaves open; `table` has further disks.
std::expected<BootPlan, BootError> make_boot_plan(const BootRequest& request,
                                                  const std::vector<NetworkAnswer>& answers,
                                                  const Config& config = {}, const DeviceTable& table = {});

// Returns a line for the console and the log: servers as URIs, device, root.
std::string describe(const BootPlan& plan);

// Returns the lines for the initramfs's /conf/param.conf, quoted for the shell. Empty if there is nothing to
// report.
std::string param_conf(const BootPlan& plan);

}  // namespace holdfast::client
