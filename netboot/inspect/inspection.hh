// Looks into the boot files of a host, which nobody has checked: in a sandbox.
#pragma once

#include <expected>
#include <string>

namespace holdfast::netboot {

struct InspectionFault {
    std::string line;       // without the name of the file
    bool is_local = false;  // this machine could not look into the file, which may be good
};
using Inspection = std::expected<void, InspectionFault>;

// Error unless the file is a kernel of this release for x86-64.
[[nodiscard]] Inspection inspect_kernel(const std::string& path, const std::string& release);
// Error unless the file is an initramfs that attaches a root disk, for a kernel of this release.
[[nodiscard]] Inspection inspect_initramfs(const std::string& path, const std::string& release);
// Error unless Xen can run the kernel as its first domain.
[[nodiscard]] Inspection inspect_first_domain(const std::string& path);
// Error unless the file may be a hypervisor.
[[nodiscard]] Inspection inspect_hypervisor(const std::string& path);

}  // namespace holdfast::netboot
