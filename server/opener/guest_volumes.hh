// Finds volume groups inside an exported disk that this machine's own LVM has taken into use. The metadata of
// such a group is the client's: LVM on the server may change it while the client has it active, and whoever
// writes to the client's disk can give the server's administrator a logical volume of any name.
#pragma once

#include <sys/types.h>

#include <string>

namespace holdfast::server {

// Returns "physical volume 8:18 of volume group guest is known to LVM" or "/dev/mapper/guest-root is active",
// for the device or one of its partitions; empty: LVM does not use the disk. Reads what LVM and the kernel
// have recorded, never the disk itself. The names are the client's: the text is printable.
[[nodiscard]] std::string lvm_use_of(dev_t device, const std::string& sys = "/sys",
                                     const std::string& run = "/run/lvm");

}  // namespace holdfast::server
