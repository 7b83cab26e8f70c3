// Compares versions as ls -v does: 6.1.0-9 is older than 6.1.0-37.

#include "client/boot/installed_kernel.hh"

#include <fmt/core.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string_view>

#include "common/linux/folder.hh"
#include "common/linux/text_file.hh"
#include "common/protocol/boot_manifest.hh"

namespace holdfast::client {
namespace {

constexpr std::string_view kernel_prefix = "vmlinuz-";
constexpr std::string_view xen_prefix = "xen-";
constexpr std::string_view packed = ".gz";

bool is_readable(const std::string& path) { return ::access(path.c_str(), R_OK) == 0; }

// The initramfs lies beside its kernel.
std::optional<InstalledKernel> with_initrd(const std::string& kernel) {
    const std::size_t slash = kernel.rfind('/');
    const std::string_view name = std::string_view(kernel).substr(slash + 1);
    if (slash == std::string::npos || !name.starts_with(kernel_prefix)) return std::nullopt;
    const std::string version = version_in(kernel);
    std::string initrd = kernel.substr(0, slash + 1) + "initrd.img-" + version;
    if (version.empty() || !is_readable(kernel) || !is_readable(initrd)) return std::nullopt;
    return InstalledKernel{version, kernel, std::move(initrd)};
}

std::optional<InstalledKernel> of_link(const std::string& link) {
    const std::unique_ptr<char, decltype(&::free)> target(::realpath(link.c_str(), nullptr), ::free);
    return target ? with_initrd(target.get()) : std::nullopt;
}

}  // namespace

std::string version_in(const std::string& path) {
    std::string_view name = std::string_view(path).substr(path.rfind('/') + 1);
    for (const std::string_view prefix : {kernel_prefix, xen_prefix})
        if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
    if (name.ends_with(packed)) name.remove_suffix(packed.size());
    return nbd::is_boot_version(name) ? std::string(name) : std::string();
}

std::optional<std::string> newest_xen(const std::string& root) {
    const auto hypervisor = read_text_file(root + "/sys/hypervisor/type", 64);
    if (!hypervisor || *hypervisor != "xen\n") return std::nullopt;
    std::string newest;
    for (const std::string& name : names_in(root + "/boot")) {
        if (!name.starts_with(xen_prefix) || !name.ends_with(packed) || version_in(name).empty()) continue;
        if (newest.empty() || ::strverscmp(name.c_str(), newest.c_str()) > 0) newest = name;
    }
    if (newest.empty()) return std::nullopt;
    return root + "/boot/" + newest;
}

std::expected<InstalledKernel, std::string> newest_kernel(const std::string& root) {
    for (const char* link : {"/vmlinuz", "/boot/vmlinuz"})
        if (auto found = of_link(root + link)) return std::move(*found);
    std::optional<InstalledKernel> newest;
    for (const std::string& name : names_in(root + "/boot")) {
        auto found = with_initrd(fmt::format("{}/boot/{}", root, name));
        if (found && (!newest || ::strverscmp(found->version.c_str(), newest->version.c_str()) > 0))
            newest = std::move(found);
    }
    if (newest) return std::move(*newest);
    return std::unexpected(fmt::format(
        "{}/boot: no vmlinuz-VERSION with its initrd.img-VERSION; name the files with --kernel and --initrd",
        root));
}

}  // namespace holdfast::client
