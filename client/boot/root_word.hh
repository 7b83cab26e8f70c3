// The value of root=, where the disk comes from an NBD server: some values leave the device to the other
// words, and some can never be on such a disk. Pure; use only before the daemon's seal.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "client/address/nbd_device.hh"
#include "client/boot/boot_request.hh"

namespace holdfast::client {

// Whether root= leaves the device to the other words: empty, nbd:..., dhcp, or /dev/root (a link to the root
// device, which dracut's initramfs makes).
[[nodiscard]] bool names_no_device(std::string_view root);

// The error: no device of an NBD disk has this name, so the initramfs would wait for it in vain.
[[nodiscard]] std::expected<void, BootError> check_root(const std::string& root);

// The error: the device is a partition, but the kernel makes none. `no_partitions`: the nbd module's
// max_part is 0.
[[nodiscard]] std::expected<void, BootError> check_partition(const NbdDevice& device, bool no_partitions);

}  // namespace holdfast::client
