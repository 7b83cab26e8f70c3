// Kernels that are installed on this machine, as Debian names their files: vmlinuz-VERSION,
// initrd.img-VERSION.
#pragma once

#include <expected>
#include <optional>
#include <string>

namespace holdfast::client {

struct InstalledKernel {
    std::string version;
    std::string kernel;  // paths
    std::string initrd;
};

// The kernel of the symbolic link `vmlinuz` in `root` or its /boot, if its initramfs exists; otherwise the
// highest version in /boot with both files. The error is a line for the user.
[[nodiscard]] std::expected<InstalledKernel, std::string> newest_kernel(const std::string& root = "");

// The newest Xen in /boot, xen-VERSION.gz, if this machine runs under Xen; otherwise nullopt.
[[nodiscard]] std::optional<std::string> newest_xen(const std::string& root = "");

// Version in the name of a kernel's or Xen's file, such as /boot/vmlinuz-6.1.0-37-amd64; empty if the name
// cannot serve as one (is_boot_version()).
[[nodiscard]] std::string version_in(const std::string& path);

}  // namespace holdfast::client
