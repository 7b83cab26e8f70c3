// The answer to a host's manifest of boot files: the file `published` (common/protocol/boot_manifest.hh).
// Pure.
#pragma once

#include <string>

#include "common/protocol/boot_manifest.hh"
#include "netboot/plan/host.hh"

namespace holdfast::netboot {

// SHA-256 sums of the manifest's files, as in KernelCopy; with the hypervisor if `xen`.
[[nodiscard]] std::string sums_of(const nbd::BootManifest& manifest, bool xen);
// Files of the manifest, in the order of files_in().
[[nodiscard]] std::vector<nbd::BootFile> files_of(const nbd::BootManifest& manifest, bool xen);
// "ab12...": the sum as hexadecimal digits.
[[nodiscard]] std::string digits_of(const nbd::Digest& digest);

// `manifest`: sum of the manifest to which this answers. `kernel_sums`: KernelCopy::sums of the host's
// kernel. The reason of a refusal counts if it is about this manifest.
[[nodiscard]] std::string published_text(const Host& host, const std::string& manifest,
                                         const std::string& kernel_sums);

// The reason in a form for `published`, the state and the log: a line of printable ASCII.
[[nodiscard]] std::string line_of_reason(std::string_view reason);

}  // namespace holdfast::netboot
