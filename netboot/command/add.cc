// add, remove, default: each makes the new settings, and leaves the rest to update.cc.

#include <fmt/core.h>

#include <algorithm>

#include "netboot/command/hints.hh"
#include "netboot/command/kernels.hh"
#include "netboot/loader/kernel_image.hh"
#include "netboot/loader/kernel_words.hh"
#include "netboot/tree/tree_files.hh"

namespace holdfast::netboot {
namespace {

using std::unexpected;

void take_settings(Host& host, const Options& options) {
    const auto take = [](auto& setting, const auto& named) {
        if (named) setting = *named;
    };
    // The boot files were about the disk of before.
    if (options.export_name && *options.export_name != host.export_name) host.taken = host.refused = "";
    take(host.export_name, options.export_name);
    take(host.server, options.server);
    take(host.root, options.root);
    take(host.append, options.append);
    take(host.xen_append, options.xen_append);
    take(host.shared, options.shared);
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

Read<void> check_xen(const std::string& release, const Options& options) {
    const auto hypervisor = read_start(*options.xen, bytes_to_recognize);
    if (!hypervisor) return unexpected(fmt::format("{}: {}", *options.xen, hypervisor.error().message()));
    if (const auto checked = check_hypervisor(*hypervisor); !checked)
        return unexpected(fmt::format("{}: {}", *options.xen, checked.error()));
    if (const auto checked = check_first_domain(release); !checked)
        return unexpected(fmt::format("{}: {}", options.kernel, checked.error()));
    return {};
}

// True if the newest kernel of the host will run under Xen.
bool boots_xen(const Host& host, const Options& options) {
    return options.xen ? !options.xen->empty() : host.kernel && host.kernel->xen;
}

// Error if a host of Xen is about to lose it, or Xen could not boot from the tree.
Read<void> check_xen_wanted(const BootTree& tree, const Host& host, const Options& options) {
    if (!boots_xen(host, options)) return {};
    if (!options.kernel.empty() && !options.xen)
        return unexpected(fmt::format(
            "{}: boots Xen; name the hypervisor with --xen, or use --xen '' to boot without it", host.name));
    return check_loaders_for_xen(tree, host, options);
}

// Recognizes the files; the error names the one that is wrong.
Read<KernelCopy> read_kernel(const BootTree& tree, const Host& host, const Options& options) {
    const auto kernel = read_start(options.kernel, bytes_to_recognize);
    if (!kernel) return unexpected(fmt::format("{}: {}", options.kernel, kernel.error().message()));
    const auto release = kernel_release(*kernel);
    if (!release) return unexpected(fmt::format("{}: {}", options.kernel, release.error()));
    const auto initrd = read_start(options.initrd, bytes_to_recognize);
    if (!initrd) return unexpected(fmt::format("{}: {}", options.initrd, initrd.error().message()));
    if (const auto checked = check_initramfs(*initrd); !checked)
        return unexpected(fmt::format("{}: {}", options.initrd, checked.error()));
    const bool with_xen = boots_xen(host, options);
    if (with_xen)
        if (const auto checked = check_xen(*release, options); !checked) return unexpected(checked.error());
    const auto version = tree.next_version(host);
    if (!version) return unexpected(version.error());
    return KernelCopy{*version, *release, with_xen, {}};
}

// Reads the files of the command, and makes them the kernel of the host.
Read<void> take_kernel(const BootTree& tree, Host& host, const Options& options) {
    const auto copy = read_kernel(tree, host, options);
    if (!copy) return unexpected(copy.error());
    return put_first(tree, host, *copy);
}

// Copies the files of the command, and prints a line for each.
Read<void> copy_kernel(BootTree& tree, const Host& host, const Options& options) {
    auto added =
        tree.add_kernel(host, *host.kernel, {options.kernel, options.initrd, options.xen.value_or("")});
    if (added)
        for (const std::string& name : files_in(*host.kernel))
            say(fmt::format("created {}{}\n", folder_of(host, *host.kernel), name));
    return added;
}

void note_what_is_missing(const Host& host, const TreeState& state, const Options& options) {
    if (!host.kernel)
        complain(fmt::format(
            "{}: note: no kernel yet; give one with `{}`", host.name,
            command_on_tree(options, fmt::format("add {} --kernel FILE --initrd FILE", host.name))));
    if (host.keys.empty() && state.settings.default_host != host.name)
        complain(fmt::format("{}: note: no loader finds this host by a key; run `{}`", host.name,
                             command_to_find(options, host.name, host.shared)));
}

ExitCode unknown_host(const Options& options) {
    return fail(fmt::format("{}: no such host; see `{}`", options.host, command_on_tree(options, "list")),
                ExitCode::usage);
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
    if (const auto checked = refuse_new_sharing(open->state, after, options); !checked)
        return fail(checked.error(), ExitCode::usage);
    if (const auto checked = check_xen_wanted(tree, host, options); !checked)
        return fail(checked.error(), ExitCode::usage);
    const bool new_kernel = !options.kernel.empty();
    if (new_kernel)
        if (const auto taken = take_kernel(tree, host, options); !taken) return fail(taken.error());
    if (const auto checked = check_words_for_xen(host); !checked)
        return fail(checked.error(), ExitCode::usage);
    const auto parts = compare_all(tree, open->state, after, options);
    if (!parts) return fail(parts.error());
    const auto texts = check_texts_that_stay(tree, open->state, after, *parts, options);
    if (!texts) return fail(texts.error().line, texts.error().code);
    Steps steps;
    if (new_kernel) {
        steps.first = [&] { return copy_kernel(tree, host, options); };
        steps.last = [&] { return tree.remove_other_kernels(host, *texts); };
    }
    const ExitCode code = carry_out(tree, *parts, options, steps);
    if (code == ExitCode::ok) note_what_is_missing(host, after, options);
    return code;
}

ExitCode run_remove(const Options& options) {
    auto open = open_tree(options);
    if (!open) return fail(open.error());
    if (!has_host(open->state, options.host)) return unknown_host(options);
    if (open->state.settings.default_host == options.host)
        return fail(fmt::format("{}: unknown machines get its entry; run `{}` first, or name another host",
                                options.host, command_on_tree(options, "default --none")),
                    ExitCode::usage);
    TreeState after = open->state;
    const auto place = std::ranges::find(after.hosts, options.host, &Host::name);
    const Host removed = *place;
    after.hosts.erase(place);
    const auto parts = compare_all(open->tree, open->state, after, options);
    if (!parts) return fail(parts.error());
    const auto texts = check_texts_that_stay(open->tree, open->state, after, *parts, options);
    if (!texts) return fail(texts.error().line, texts.error().code);
    Steps steps;
    steps.last = [&] { return open->tree.forget(removed, *texts); };
    return carry_out(open->tree, *parts, options, steps);
}

ExitCode run_default(const Options& options) {
    auto open = open_tree(options);
    if (!open) return fail(open.error());
    if (!options.none && !has_host(open->state, options.host)) return unknown_host(options);
    TreeState after = open->state;
    after.settings.default_host = options.host;
    if (const auto checked = refuse_new_sharing(open->state, after, options); !checked)
        return fail(checked.error(), ExitCode::usage);
    const auto parts = compare_all(open->tree, open->state, after, options);
    if (!parts) return fail(parts.error());
    if (const auto texts = check_texts_that_stay(open->tree, open->state, after, *parts, options); !texts)
        return fail(texts.error().line, texts.error().code);
    return carry_out(open->tree, *parts, options, {});
}

}  // namespace holdfast::netboot
