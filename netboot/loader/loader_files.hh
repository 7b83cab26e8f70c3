// The loaders of Debian's packages, and their places in the tree. Pure.
#pragma once

#include <string_view>

namespace holdfast::netboot {

struct LoaderFile {
    std::string_view kind;  // for --loaders
    std::string_view package;
    std::string_view source;  // in the file system of the package, without the first slash
    std::string_view name;    // in the tree
};

// shim looks for grubx64.efi beside itself; pxelinux for ldlinux.c32. Of the modules that multiboot2 needs,
// the signed GRUB contains most.
inline constexpr LoaderFile loader_files[] = {
    {"bios", "pxelinux", "usr/lib/PXELINUX/pxelinux.0", "pxelinux.0"},
    {"bios", "syslinux-common", "usr/lib/syslinux/modules/bios/ldlinux.c32", "ldlinux.c32"},
    {"uefi", "shim-signed", "usr/lib/shim/shimx64.efi.signed", "shimx64.efi"},
    {"uefi", "grub-efi-amd64-signed", "usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed", "grubx64.efi"},
    {"xen", "syslinux-common", "usr/lib/syslinux/modules/bios/mboot.c32", "mboot.c32"},
    {"xen", "syslinux-common", "usr/lib/syslinux/modules/bios/libcom32.c32", "libcom32.c32"},
    {"xen", "grub-efi-amd64-bin", "usr/lib/grub/x86_64-efi/multiboot2.mod", "grub/x86_64-efi/multiboot2.mod"},
    {"xen", "grub-efi-amd64-bin", "usr/lib/grub/x86_64-efi/acpi.mod", "grub/x86_64-efi/acpi.mod"},
    {"xen", "grub-efi-amd64-bin", "usr/lib/grub/x86_64-efi/mmap.mod", "grub/x86_64-efi/mmap.mod"},
    {"xen", "grub-efi-amd64-bin", "usr/lib/grub/x86_64-efi/relocator.mod", "grub/x86_64-efi/relocator.mod"},
    {"ipxe", "ipxe", "usr/lib/ipxe/undionly.kpxe", "undionly.kpxe"},
    {"ipxe", "ipxe", "usr/lib/ipxe/snponly.efi", "snponly.efi"},
};

}  // namespace holdfast::netboot
