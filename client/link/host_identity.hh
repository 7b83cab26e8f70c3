// The machine and its device, for a server that fences older attachments (session_option.hh): the same in the
// initramfs and in the running system, over reboots and after a reset. Before the seal only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/protocol/session_option.hh"

namespace holdfast::client {

// Where to look; other folders are for tests.
struct HostFiles {
    std::string sys = "/sys";
    std::string machine_id = "/etc/machine-id";
    std::string boot_id = "/proc/sys/kernel/random/boot_id";
};

// The machine's own name, as "dmi ...", "mac ..." or "machine-id ...": the firmware's UUID, unless a vendor
// has left it empty or the same everywhere; else the lowest permanent hardware address of a network card;
// else the machine-id. Empty: none is known.
[[nodiscard]] std::string machine_name(const HostFiles& files = {});

// A new attachment of the device, later than every one before of this boot. Only a hash of the machine's name
// is in it. Empty where the machine has no name or tells no boot ID: then only reconnects can be fenced.
[[nodiscard]] std::optional<nbd::HostRequest> new_attachment(std::uint32_t index,
                                                             const HostFiles& files = {});

}  // namespace holdfast::client
