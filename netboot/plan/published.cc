// A line is left out where its words are not known.

#include "netboot/plan/published.hh"

#include <fmt/core.h>

#include "common/text/hex.hh"
#include "common/text/printable.hh"
#include "common/text/text.hh"

namespace holdfast::netboot {
namespace {

constexpr std::size_t longest_reason = 390;  // and "..."

}  // namespace

std::string digits_of(const nbd::Digest& digest) { return hex_of(digest.data(), digest.size()); }

std::vector<nbd::BootFile> files_of(const nbd::BootManifest& manifest, bool xen) {
    std::vector<nbd::BootFile> files{manifest.kernel, manifest.initrd};
    if (xen && manifest.xen) files.push_back(*manifest.xen);
    return files;
}

std::string sums_of(const nbd::BootManifest& manifest, bool xen) {
    std::string sums;
    for (const nbd::BootFile& file : files_of(manifest, xen))
        sums += (sums.empty() ? "" : ",") + digits_of(file.sha256);
    return sums;
}

std::string line_of_reason(std::string_view reason) { return printable_ascii(reason, longest_reason); }

std::string published_text(const Host& host, const std::string& manifest, const std::string& kernel_sums) {
    std::string text = fmt::format("holdfast-boot-published 1\nmanifest {}\n", manifest);
    std::string_view rest = kernel_sums;
    const std::string_view kernel = take_until(rest, ',');
    const std::string_view initrd = take_until(rest, ',');
    if (host.kernel && nbd::is_boot_version(host.kernel->release) && !initrd.empty())
        text += fmt::format("next {} {} {}\n", host.kernel->release, kernel, initrd);
    if (host.kernel && host.previous && nbd::is_boot_version(host.previous->release))
        text += fmt::format("previous {}\n", host.previous->release);
    if (host.refused.starts_with(manifest)) text += fmt::format("refused {}\n", reason_of_refusal(host));
    return text;
}

}  // namespace holdfast::netboot
