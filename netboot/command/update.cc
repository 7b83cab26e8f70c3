// All parts are compared before the first change, so that a conflict leaves everything as it was.

#include "netboot/command/update.hh"

#include <fmt/core.h>

#include <algorithm>
#include <cstdio>

#include "netboot/plan/planned_files.hh"

namespace holdfast::netboot {
namespace {

using std::unexpected;

const Host* host_named(const TreeState& state, const std::string& name) {
    const auto found = std::ranges::find(state.hosts, name, &Host::name);
    return found == state.hosts.end() ? nullptr : &*found;
}

Part part_of_tree(BootTree& tree, const TreeState& before, TreeState& after, const Options& options) {
    return {before.settings.sums,
            files_of(after.settings, after.hosts),
            {},
            before.settings != after.settings || !tree.exists(),
            [&tree, &after](const Sums& sums) {
                after.settings.sums = sums;
                return tree.store(after.settings);
            },
            options.command == "init"};
}

Part part_of_host(BootTree& tree, const TreeState& before, TreeState& after, Host& host,
                  const Options& options) {
    const Host* const old = host_named(before, host.name);
    return {old != nullptr ? old->sums : Sums{},
            files_of(after.settings, host),
            {},
            old == nullptr || *old != host,
            [&tree, &host](const Sums& sums) {
                host.sums = sums;
                return tree.store(host);
            },
            options.command == "add" && host.name == options.host};
}

Part part_of_removed_host(BootTree& tree, const Host& host) {
    return {host.sums, {}, {}, false, [&tree, host](const Sums& sums) {
                Host left = host;
                left.sums = sums;
                return tree.store(left);
            }};
}

void report_edited(const Changes& changes) {
    for (const Change& change : changes.edited) {
        complain(fmt::format(
            "{}: edited by hand, and its entry has changed; merge the change by hand and use --keep, "
            "or use --force to lose the edits",
            change.path));
        say(diff_of(change));
    }
}

void report(const Change& change) {
    say(fmt::format("{} {}\n",
                    !change.before ? "created"
                    : change.after ? "replaced"
                                   : "removed",
                    change.path));
}

Read<void> make_changes(BootTree& tree, const std::vector<Part>& parts) {
    for (const Part& part : parts) {
        if (part.changes.list.empty()) continue;
        if (auto stored = part.store(united(part.recorded, part.changes.sums)); !stored) return stored;
    }
    for (const Part& part : parts)
        if (auto applied = tree.apply(part.changes.list); !applied) return applied;
    for (const Part& part : parts) {
        const bool same =
            part.changes.list.empty() && part.recorded == part.changes.sums && !part.settings_changed;
        if (same) continue;
        if (auto stored = part.store(part.changes.sums); !stored) return stored;
    }
    return {};
}

}  // namespace

Read<OpenTree> open_tree(const Options& options) {
    BootTree tree(options.tree);
    if (!tree.exists())
        return unexpected(
            fmt::format("{}: no tree of holdfast-netboot; run `holdfast-netboot init {}`, or name the "
                        "tree with --tree",
                        options.tree, options.tree));
    const bool reads_only = options.command == "list" || options.command == "check" || options.dry_run;
    if (!reads_only)
        if (auto locked = tree.lock(); !locked) return unexpected(locked.error());
    auto state = tree.load();
    if (!state) return unexpected(state.error());
    return OpenTree{std::move(tree), std::move(*state)};
}

Read<Part> compare_part(const BootTree& tree, Part part, Edited edited) {
    const auto on_disk = tree.read(part.recorded, part.wanted);
    if (!on_disk) return unexpected(on_disk.error());
    part.changes = compare(part.recorded, part.wanted, *on_disk, edited);
    return part;
}

Read<std::vector<Part>> compare_all(BootTree& tree, const TreeState& before, TreeState& after,
                                    const Options& options) {
    std::vector<Part> parts;
    for (Host& host : after.hosts) parts.push_back(part_of_host(tree, before, after, host, options));
    for (const Host& host : before.hosts)
        if (host_named(after, host.name) == nullptr) parts.push_back(part_of_removed_host(tree, host));
    parts.push_back(part_of_tree(tree, before, after, options));
    for (Part& part : parts) {
        const Edited edited = edited_of(options, part);
        auto compared = compare_part(tree, std::move(part), edited);
        if (!compared) return unexpected(compared.error());
        part = std::move(*compared);
    }
    return parts;
}

Edited edited_of(const Options& options, const Part& part) {
    if (options.force) return part.of_command ? Edited::overwrite_all : Edited::overwrite_changed;
    return options.keep ? Edited::keep : Edited::refuse;
}

ExitCode carry_out(BootTree& tree, const std::vector<Part>& parts, const Options& options,
                   const Steps& steps) {
    bool refused = false;
    for (const Part& part : parts) {
        if (part.changes.edited.empty() || edited_of(options, part) != Edited::refuse) continue;
        report_edited(part.changes);
        refused = true;
    }
    if (refused) return fail("nothing was changed; see the messages above", ExitCode::edited);
    if (options.dry_run) {
        for (const Part& part : parts)
            for (const Change& change : part.changes.list) say(diff_of(change));
        return ExitCode::ok;
    }
    for (const auto& step :
         {steps.first, std::function<Read<void>()>([&] { return make_changes(tree, parts); }), steps.last})
        if (const auto done = step(); !done) return fail(done.error());
    for (const Part& part : parts)
        for (const Change& change : part.changes.list) report(change);
    return ExitCode::ok;
}

void say(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

void complain(std::string_view line) {
    const std::string text = fmt::format("holdfast-netboot: {}\n", line);
    std::fwrite(text.data(), 1, text.size(), stderr);
}

ExitCode fail(std::string_view line, ExitCode code) {
    complain(line);
    return code;
}

}  // namespace holdfast::netboot
