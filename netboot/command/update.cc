// All parts are compared before the first change, so that a conflict leaves everything as it was.

#include "netboot/command/update.hh"

#include <fmt/core.h>

#include <algorithm>
#include <cstdio>

#include "common/text/printable.hh"
#include "netboot/command/hints.hh"
#include "netboot/loader/loader_files.hh"

namespace holdfast::netboot {
namespace {

using std::unexpected;

constexpr std::string_view reason = "two machines that write to one file system destroy it";

const Host* host_named(const TreeState& state, const std::string& name) {
    const auto found = std::ranges::find(state.hosts, name, &Host::name);
    return found == state.hosts.end() ? nullptr : &*found;
}

Part part_of_tree(BootTree& tree, const TreeState& before, TreeState& after, const Options& options) {
    return {before.settings.sums,
            files_of(after.settings, after.hosts),
            {},
            before.settings != after.settings || !before.is_stored,
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

Read<std::vector<Part>> compared(const BootTree& tree, std::vector<Part> parts, const Options& options) {
    for (Part& part : parts) {
        const Edited edited = edited_of(options, part);
        auto compared = compare_part(tree, std::move(part), edited);
        if (!compared) return unexpected(compared.error());
        part = std::move(*compared);
    }
    return parts;
}

std::string command_to_share(const Host& host, const Options& options) {
    return command_on_tree(
        options, fmt::format("add {} --shared --export {}", host.name, shell_word(host.export_name)));
}

// For those of both hosts that are not shared.
std::string commands_to_share(const Host& first, const Host& second, const Options& options) {
    std::string commands;
    for (const Host* host : {&first, &second})
        if (!host->shared)
            commands +=
                fmt::format("{}`{}`", commands.empty() ? "" : " and ", command_to_share(*host, options));
    return commands;
}

// True if the part has an edit that makes the command change nothing.
bool is_refused(const Part& part, const Options& options) {
    return !part.changes.edited.empty() && edited_of(options, part) == Edited::refuse;
}

void report_edited(const Changes& changes) {
    for (const Change& change : changes.edited) {
        const Obstacle obstacle = obstacle_to(change);
        complain(fmt::format("{}: {}; {}", change.path, obstacle.state, obstacle.remedy));
        say(diff_of(change));
    }
}

// Reports the edits that make the command change nothing; false if there are none.
bool report_refused(const std::vector<Part>& parts, const Options& options) {
    bool refused = false;
    for (const Part& part : parts) {
        if (!is_refused(part, options)) continue;
        report_edited(part.changes);
        refused = true;
    }
    return refused;
}

void report(const Change& change) {
    say(fmt::format("{} {}\n",
                    !change.before ? "created"
                    : change.after ? "replaced"
                                   : "removed",
                    change.path));
}

}  // namespace

Read<OpenTree> open_tree(const Options& options) {
    BootTree tree(options.tree);
    const auto exists = tree.exists();
    if (!exists) return unexpected(exists.error());
    if (!*exists)
        return unexpected(
            fmt::format("{}: no tree of holdfast-netboot; run `{}`, or name the tree with --tree",
                        options.tree, command_to_init(options)));
    const bool reads_only = options.command == "list" || options.command == "check" || options.dry_run;
    if (!reads_only)
        if (auto locked = tree.lock(); !locked) return unexpected(locked.error());
    auto state = tree.load();
    if (!state) return unexpected(state.error());
    return OpenTree{std::move(tree), std::move(*state)};
}

Read<void> check_sharing(const Host& host, const TreeState& state, const Options& options) {
    if (const Host* const other = other_on_disk(state.settings, host, state.hosts))
        return unexpected(fmt::format(
            "{}: the host {} has the same export, {} of {}, and {}; use another export, or run {}, so that "
            "neither writes to it",
            host.name, other->name, printable(host.export_name), server_of(state.settings, host), reason,
            commands_to_share(*other, host, options)));
    if (!host.shared && is_for_many(state.settings, host))
        return unexpected(fmt::format(
            "{}: several machines would get its disk, and {}; name each machine by --mac, or {}, so that "
            "none writes to it",
            host.name, reason,
            options.command == "add" ? "add --shared"
                                     : fmt::format("run `{}`", command_to_share(host, options))));
    return {};
}

Read<void> refuse_new_sharing(const TreeState& before, const TreeState& after, const Options& options) {
    const auto check = [&](const Host& host) {
        auto checked = check_sharing(host, after, options);
        const Host* const old = host_named(before, host.name);
        // A fault from before does not prevent the commands that mend it.
        const bool was_so = old != nullptr && !check_sharing(*old, before, options);
        const bool excused = was_so && (host.name != options.host || host.shared);
        return excused ? Read<void>() : checked;
    };
    if (const Host* const host = host_named(after, options.host))
        if (auto checked = check(*host); !checked) return checked;
    for (const Host& host : after.hosts)
        if (auto checked = check(host); !checked) return checked;
    return {};
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
    parts.reserve(after.hosts.size() + before.hosts.size() + 1);
    for (Host& host : after.hosts) parts.push_back(part_of_host(tree, before, after, host, options));
    for (const Host& host : before.hosts)
        if (host_named(after, host.name) == nullptr) parts.push_back(part_of_removed_host(tree, host));
    parts.push_back(part_of_tree(tree, before, after, options));
    return compared(tree, std::move(parts), options);
}

Read<std::vector<Part>> compare_host(BootTree& tree, const TreeState& before, TreeState& after,
                                     const Options& options) {
    std::vector<Part> parts;
    for (Host& host : after.hosts)
        if (host.name == options.host) parts.push_back(part_of_host(tree, before, after, host, options));
    if (after.settings.default_host == options.host)
        parts.push_back(part_of_tree(tree, before, after, options));
    return compared(tree, std::move(parts), options);
}

std::string kinds_in(const Sums& loaders) {
    std::string kinds;
    for (const LoaderFile& file : loader_files)
        if (loaders.contains(std::string(file.name)) && !kinds.contains(file.kind))
            kinds += fmt::format("{},", file.kind);
    return kinds;
}

Edited edited_of(const Options& options, const Part& part) {
    if (options.force) return part.of_command ? Edited::overwrite_all : Edited::overwrite_changed;
    return options.keep ? Edited::keep : Edited::refuse;
}

std::string line_of(const Writer& writer, const TreeState& state, const Options& options) {
    const Host& host = *host_named(state, writer.host);
    const bool of_command = options.command == "add" && options.host == host.name;
    const std::string way =
        of_command
            ? "use --force"
            : fmt::format("run `{}`", command_on_tree(options, fmt::format("add {} --force", host.name)));
    if (writer.is_own)
        return fmt::format(
            "{}: edited by hand, and without the words that keep the disk of the shared host {} as it is, "
            "and "
            "{}; add ro holdfast.overlay=RAM to its command lines, or {} to lose the edits",
            writer.path, host.name, reason, way);
    return fmt::format(
        "{}: a file of another hand, by which a machine writes to the disk of the host {}, {} of {}, and {}; "
        "correct or remove the file",
        writer.path, host.name, printable(host.export_name), server_of(state.settings, host), reason);
}

std::expected<Texts, Failure> check_texts_that_stay(const BootTree& tree, const TreeState& before,
                                                    const TreeState& after, const std::vector<Part>& parts,
                                                    const Options& options) {
    LoaderTexts loaded = tree.load_loader_texts();
    if (!loaded.errors.empty()) return unexpected(Failure{ExitCode::failure, loaded.errors[0]});
    Texts& texts = loaded.texts;
    const auto old = writers_by_hand(before.settings, before.hosts, texts);
    for (const Part& part : parts)
        for (const Change& change : part.changes.list) texts.erase(change.path);
    // carry_out() will refuse, and name the edits.
    if (std::ranges::any_of(parts, [&](const Part& part) { return is_refused(part, options); })) return texts;
    for (const Writer& writer : writers_by_hand(after.settings, after.hosts, texts)) {
        const bool is_new = std::ranges::count(old, writer) == 0;
        // A fault from before does not prevent the commands that mend it.
        const bool of_command = writer.host == options.host && !host_named(after, writer.host)->shared;
        if (is_new || of_command)
            return unexpected(Failure{ExitCode::usage, line_of(writer, after, options)});
    }
    return texts;
}

const Change* edit_in_the_way(const std::vector<Part>& parts, const Options& options) {
    for (const Part& part : parts)
        if (is_refused(part, options)) return &part.changes.edited[0];
    return nullptr;
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

void report_changes(const std::vector<Part>& parts) {
    for (const Part& part : parts)
        for (const Change& change : part.changes.list) report(change);
}

void report_old_kernels(const OldKernels& old, bool json) {
    for (const std::string& path : old.removed)
        if (!json) say(fmt::format("removed {}\n", path));
    for (const std::string& line : old.notes) complain("note: " + line);
}

ExitCode carry_out(BootTree& tree, const std::vector<Part>& parts, const Options& options,
                   const Steps& steps) {
    if (report_refused(parts, options))
        return fail("nothing was changed; see the messages above", ExitCode::edited);
    if (options.dry_run) {
        for (const Part& part : parts)
            for (const Change& change : part.changes.list) say(diff_of(change));
        return ExitCode::ok;
    }
    if (const auto done = steps.first(); !done) return fail(done.error());
    if (const auto made = make_changes(tree, parts); !made) return fail(made.error());
    report_changes(parts);
    const auto old = steps.last();
    if (!old) return fail(old.error());
    report_old_kernels(*old, options.json);
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
