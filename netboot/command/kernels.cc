// Checks before a kernel gets into the tree, and its place among the kernels of the host.

#include "netboot/command/kernels.hh"

#include <fmt/core.h>

#include <algorithm>

#include "netboot/command/hints.hh"

namespace holdfast::netboot {

using std::unexpected;

Host& host_in(TreeState& state, const std::string& name) {
    const auto place = std::ranges::lower_bound(state.hosts, name, {}, &Host::name);
    if (place != state.hosts.end() && place->name == name) return *place;
    Host host;
    host.name = name;
    return *state.hosts.insert(place, std::move(host));
}

Read<void> put_first(const BootTree& tree, Host& host, const KernelCopy& copy) {
    std::optional<KernelCopy> fallback;
    for (const auto& other : {host.kernel, host.previous}) {
        if (!other || fallback) continue;
        const auto whole = tree.is_whole(host, *other);
        if (!whole) return unexpected(whole.error());
        if (*whole) fallback = other;
    }
    host.kernel = copy;
    host.previous = fallback;
    return {};
}

Read<void> check_loaders_for_xen(const BootTree& tree, const Host& host, const Options& options) {
    const auto loaders = tree.load_loaders();
    if (!loaders) return unexpected(loaders.error());
    if (!loaders->contains("mboot.c32"))
        return unexpected(fmt::format("{}: the tree has no loaders for Xen; run `{} --loaders {}xen`",
                                      host.name, command_to_init(options), kinds_in(*loaders)));
    return {};
}

Read<void> check_words_for_xen(const Host& host) {
    const std::string fault = fault_with_xen(host);
    if (!fault.empty()) return unexpected(fmt::format("{}: {}", host.name, fault));
    return {};
}

}  // namespace holdfast::netboot
