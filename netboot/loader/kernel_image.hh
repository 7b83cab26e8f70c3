// Recognizes kernels and initramfs images by their first bytes. Pure.
#pragma once

#include <string>
#include <string_view>

#include "netboot/name/host_keys.hh"

namespace holdfast::netboot {

// Bytes of the start of a file that the functions below need.
inline constexpr std::size_t bytes_to_recognize = 65536;

// Release of a Linux kernel for x86 ("6.1.0-37-amd64"), from its boot header (Documentation/arch/x86/boot.rst
// of Linux). The error says what the file is instead.
[[nodiscard]] Read<std::string> kernel_release(std::string_view start);

// Error unless the file begins like a cpio archive, plain or compressed as Linux accepts.
[[nodiscard]] Read<void> check_initramfs(std::string_view start);

// Error unless the file may be a hypervisor that boots by multiboot: an ELF file, plain or compressed by
// gzip.
[[nodiscard]] Read<void> check_hypervisor(std::string_view start);
// Error if a kernel of this release is known not to run as the first domain of Xen.
[[nodiscard]] Read<void> check_first_domain(std::string_view release);

}  // namespace holdfast::netboot
