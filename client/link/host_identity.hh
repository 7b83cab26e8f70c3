// Identity of machine and device, for a server that fences older attachments (session_option.hh): equal in
// the initramfs and in the running system, across reboots and resets. Use only before the seal.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/protocol/session_option.hh"

namespace holdfast::client {

// Paths to read; other values are for tests.
struct HostFiles {
    std::string sys = "/sys";
    std::string machine_id = "/etc/machine-id";
    std::string boot_id = "/proc/sys/kernel/random/boot_id";
};

// Returns the machine's own name, as "dmi ...", "mac ..." or "machine-id ...": the firmware's UUID, unless a
// vendor has left it empty or equal everywhere; else the lowest permanent hardware address of a network card;
// else the machine-id. Empty: unknown.
[[nodiscard]] std::string machine_name(const HostFiles& files = {});

// Makes a new attachment of the device, later than every earlier attachment of this boot. Contains only a
// hash of the machine's name. Empty if the machine has no name or no boot ID: then only reconnects can be
// fenced.
[[nodiscard]] std::optional<nbd::HostRequest> new_attachment(std::uint32_t index,
                                                             const HostFiles& files = {});

}  // namespace holdfast::client
