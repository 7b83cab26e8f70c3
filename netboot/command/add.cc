// add, remove, default: each makes the new settings, and leaves the rest to update.cc.

#include <fmt/core.h>

#include <algorithm>

#include "netboot/command/update.hh"
#include "netboot/loader/kernel_image.hh"
#include "netboot/loader/kernel_words.hh"
#include "netboot/plan/planned_files.hh"
#include "netboot/tree/tree_files.hh"

namespace holdfast::netboot {
namespace {

using std::unexpected;

void take_settings(Host& host, const Options& options) {
    const auto take = [](auto& setting, const auto& named) {
        if (named) setting = *named;
    };
    take(host.export_name, options.export_name);
    take(host.server, options.server);
    take(host.root, options.root);
    take(host.append, options.append);
    take(host.consoles, options.consoles);
    take(host.keys.uuid, options.uuid);
    take(host.keys.macs, options.macs);
    take(host.keys.ips, options.ips);
}

Read<void> check_settings(const Host& host, const TreeState& state) {
    if (host.export_name.empty())
        return unexpected(fmt::format("{}: no export; name one with --export", host.name));
    if (host.server.empty() && state.settings.server.empty())
        return unexpected(
            fmt::format("{}: no NBD server, and the tree has no default; use --server", host.name));
    if (const auto clash = clash_of(host, state.hosts))
        return unexpected(
            fmt::format("{}: the key {} belongs to the host {}; remove that host, or give it other keys",
                        host.name, clash->key, clash->host));
    constexpr std::size_t length_of_bootif = 28;
    if (command_line_of(state.settings, host).size() + length_of_bootif > longest_command_line)
        return unexpected(
            fmt::format("{}: the kernel's command line is longer than {} characters; shorten --append",
                        host.name, longest_command_line));
    return {};
}

// Recognizes both files; the error names the one that is wrong.
Read<KernelCopy> read_kernel(const BootTree& tree, const Host& host, const Options& options) {
    const auto kernel = read_start(options.kernel, bytes_to_recognize);
    if (!kernel) return unexpected(fmt::format("{}: {}", options.kernel, kernel.error().message()));
    const auto release = kernel_release(*kernel);
    if (!release) return unexpected(fmt::format("{}: {}", options.kernel, release.error()));
    const auto initrd = read_start(options.initrd, bytes_to_recognize);
    if (!initrd) return unexpected(fmt::format("{}: {}", options.initrd, initrd.error().message()));
    if (const auto checked = check_initramfs(*initrd); !checked)
        return unexpected(fmt::format("{}: {}", options.initrd, checked.error()));
    return KernelCopy{tree.next_version(host), *release};
}

// The host with this name in the state, which is added if it is missing.
Host& host_in(TreeState& state, const std::string& name) {
    const auto place = std::ranges::lower_bound(state.hosts, name, {}, &Host::name);
    if (place != state.hosts.end() && place->name == name) return *place;
    Host host;
    host.name = name;
    return *state.hosts.insert(place, std::move(host));
}

void note_what_is_missing(const Host& host, const TreeState& state) {
    if (!host.kernel)
        complain(fmt::format(
            "{}: note: no kernel yet; give one with `holdfast-netboot add {} --kernel FILE --initrd "
            "FILE`",
            host.name, host.name));
    if (host.keys.empty() && state.settings.default_host != host.name)
        complain(
            fmt::format("{}: note: no loader finds this host; add --mac, --uuid or --ip, or run "
                        "`holdfast-netboot default {}`",
                        host.name, host.name));
}

ExitCode unknown_host(const std::string& name) {
    return fail(fmt::format("{}: no such host; see `holdfast-netboot list`", name), ExitCode::usage);
}

bool has_host(const TreeState& state, const std::string& name) {
    return std::ranges::find(state.hosts, name, &Host::name) != state.hosts.end();
}

}  // namespace

ExitCode run_add(const Options& options) {
    auto open = open_tree(options);
    if (!open) return fail(open.error());
    BootTree& tree = open->tree;
    TreeState after = open->state;
    Host& host = host_in(after, options.host);
    take_settings(host, options);
    if (const auto checked = check_settings(host, after); !checked)
        return fail(checked.error(), ExitCode::usage);
    const bool new_kernel = !options.kernel.empty();
    if (new_kernel) {
        const auto copy = read_kernel(tree, host, options);
        if (!copy) return fail(copy.error());
        host.previous = std::exchange(host.kernel, *copy);
    }
    const auto parts = compare_all(tree, open->state, after, options);
    if (!parts) return fail(parts.error());
    Steps steps;
    if (new_kernel) {
        steps.first = [&] { return tree.add_kernel(host, *host.kernel, options.kernel, options.initrd); };
        steps.last = [&] { return tree.remove_other_kernels(host); };
    }
    const ExitCode code = carry_out(tree, *parts, options, steps);
    if (code == ExitCode::ok) note_what_is_missing(host, after);
    return code;
}

ExitCode run_remove(const Options& options) {
    auto open = open_tree(options);
    if (!open) return fail(open.error());
    if (!has_host(open->state, options.host)) return unknown_host(options.host);
    if (open->state.settings.default_host == options.host)
        return fail(
            fmt::format(
                "{}: unknown machines get its entry; run `holdfast-netboot default --none` first, or name "
                "another host",
                options.host),
            ExitCode::usage);
    TreeState after = open->state;
    const auto place = std::ranges::find(after.hosts, options.host, &Host::name);
    const Host removed = *place;
    after.hosts.erase(place);
    const auto parts = compare_all(open->tree, open->state, after, options);
    if (!parts) return fail(parts.error());
    Steps steps;
    steps.last = [&] { return open->tree.forget(removed); };
    return carry_out(open->tree, *parts, options, steps);
}

ExitCode run_default(const Options& options) {
    auto open = open_tree(options);
    if (!open) return fail(open.error());
    if (!options.none && !has_host(open->state, options.host)) return unknown_host(options.host);
    TreeState after = open->state;
    after.settings.default_host = options.host;
    const auto parts = compare_all(open->tree, open->state, after, options);
    if (!parts) return fail(parts.error());
    return carry_out(open->tree, *parts, options, {});
}

}  // namespace holdfast::netboot
