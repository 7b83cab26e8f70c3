// Configuration texts of the three loaders. Pure.
//
// The texts of a host are the same for each of its keys. Those of the tree are for machines that no key
// finds; for GRUB and iPXE, also the search for the keys, because Debian's signed GRUB reads only
// /grub/grub.cfg.
#pragma once

#include <string>

#include "netboot/loader/boot_menu.hh"

namespace holdfast::netboot {

// pxelinux.cfg/NAME. Paths are relative to the folder of pxelinux.0. Without entries: a message, then the
// next boot device.
[[nodiscard]] std::string pxelinux_text(const BootMenu& menu);

// grub/grub.cfg-NAME and grub/default.cfg.
[[nodiscard]] std::string grub_text(const BootMenu& menu);
// grub/grub.cfg: tries UUID, MAC address, and the address with ever fewer digits, like pxelinux.
[[nodiscard]] std::string grub_search_text();

// ipxe/NAME.ipxe and ipxe/default.ipxe. An entry with Xen loads pxelinux or GRUB.
[[nodiscard]] std::string ipxe_text(const BootMenu& menu);
// boot.ipxe: tries UUID, MAC address and address.
[[nodiscard]] std::string ipxe_search_text();

}  // namespace holdfast::netboot
