// check: what a host gets, by which file, and what is wrong. Changes nothing.

#include <fmt/core.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "common/text/plural.hh"
#include "netboot/command/hints.hh"
#include "netboot/command/update.hh"
#include "netboot/inspect/inspection.hh"
#include "netboot/loader/loader_files.hh"
#include "netboot/loader/named_files.hh"
#include "netboot/tree/tree_files.hh"

namespace holdfast::netboot {
namespace {

// Findings so far. A fault counts once, a note does not.
class Findings {
public:
    void fault(const std::string& text) {
        if (!said_.insert(text).second) return;
        say(fmt::format("    fault: {}\n", text));
        ++faults_;
    }
    static void note(std::string_view text) { say(fmt::format("    note: {}\n", text)); }
    [[nodiscard]] unsigned faults() const { return faults_; }

private:
    std::set<std::string> said_;
    unsigned faults_ = 0;
};

// The tree to check, its state, and the options of the command.
struct Checked {
    const BootTree& tree;
    const TreeState& state;
    const Options& options;
    Texts texts;  // all loaders' files on disk
    Sums loaders;
};

bool is_loader(const std::string& name) {
    return std::ranges::find(loader_files, name, &LoaderFile::name) != std::end(loader_files);
}

std::string command_to_add_kernel(const Checked& checked, const Host& host) {
    return command_on_tree(checked.options,
                           fmt::format("add {} --kernel FILE --initrd FILE{}", host.name,
                                       host.kernel && host.kernel->xen ? " --xen FILE" : ""));
}

// Files that everyone may read: TFTP servers run without privileges.
void check_readable(const Checked& checked, const Host& host, const std::string& name, Findings& findings) {
    const std::string path = checked.tree.path_of(name);
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) {
        const SysError error{errno, "stat"};
        findings.fault(error.code == ENOENT
                           ? fmt::format("{}: missing; run `{}`", name, command_to_add_kernel(checked, host))
                           : fmt::format("{}: {}", path, error.message()));
    } else if (!S_ISREG(status.st_mode) || status.st_size == 0) {
        findings.fault(
            fmt::format("{}: empty, or no file; run `{}`", name, command_to_add_kernel(checked, host)));
    } else if ((status.st_mode & S_IROTH) == 0) {
        findings.fault(
            fmt::format("{}: not readable for the TFTP server; run `chmod 644 {}`", name, shell_word(path)));
    }
}

// Files that a person's text names, and that are not there. `mend`: what to do besides correcting the name.
void check_named_files(const Checked& checked, const std::string& path, std::string_view mend,
                       Findings& findings) {
    const auto text = checked.texts.find(path);
    if (text == checked.texts.end()) return;
    for (const std::string& file : files_named_in(path, text->second)) {
        const auto there = is_there(checked.tree.path_of(file));
        const std::string line =
            there
                ? fmt::format("{}: names {}, which does not exist; correct the name, or {}", path, file, mend)
                : fmt::format("{}: {}", checked.tree.path_of(file), there.error().message());
        if (there && *there) continue;
        // Others may be for machines that never read them, or for loaders that go on without them.
        if (file.starts_with("hosts/") || is_loader(file))
            findings.fault(line);
        else
            Findings::note(line);
    }
}

// `command`: restores the files of their owner.
void check_files(const Checked& checked, const Changes& changes, std::string_view command,
                 Findings& findings) {
    for (const Change& change : changes.list)
        findings.fault(fmt::format("{}: {}; run `{}`", change.path,
                                   change.before ? "from an interrupted change" : "missing", command));
    for (const Change& change : changes.edited)
        findings.fault(fmt::format("{}: {}; run `{}` to see the change", change.path,
                                   obstacle_to(change).state, command));
    for (const std::string& path : changes.kept) Findings::note(path + ": edited by hand");
    std::vector<std::string> by_hand = changes.kept;
    for (const Change& change : changes.edited) by_hand.push_back(change.path);
    for (const std::string& path : by_hand)
        check_named_files(checked, path, fmt::format("lose the edits with `{} --force`", command), findings);
}

// Versions that neither the host nor a file names.
void check_left_kernels(const Checked& checked, const Host& host, Findings& findings) {
    const std::string folder = checked.tree.path_of("hosts/" + host.name);
    const auto names = list_folder(folder);
    if (!names) return findings.fault(fmt::format("{}: {}", folder, names.error().message()));
    for (const std::string& name : *names) {
        const std::string path = fmt::format("hosts/{}/{}", host.name, name);
        const auto is_path = [&](const auto& kernel) { return kernel && folder_of(host, *kernel) == path; };
        if (!is_version(name) || is_path(host.kernel) || is_path(host.previous) ||
            !file_naming(checked.texts, path).empty())
            continue;
        Findings::note(path + ": from an interrupted change; the next --kernel removes it");
    }
}

// A kernel that `add` has put into the tree, which knows only the names of kernels that hang.
void check_first_domain(const Checked& checked, const Host& host, const KernelCopy& kernel,
                        Findings& findings) {
    const std::string path = folder_of(host, kernel) + "/vmlinuz";
    if (const auto there = is_there(checked.tree.path_of(path)); !there || !*there) return;
    const auto inspected = inspect_first_domain(checked.tree.path_of(path));
    if (inspected) return;
    const std::string line = fmt::format("{}: {}", path, inspected.error().line);
    inspected.error().is_local ? Findings::note(line) : findings.fault(line);
}

void check_xen(const Checked& checked, const Host& host, Findings& findings) {
    for (const auto& kernel : {host.kernel, host.previous}) {
        if (!kernel || !kernel->xen) continue;
        if (!checked.loaders.contains("mboot.c32"))
            findings.fault(fmt::format("the tree has no loaders for Xen; run `{} --loaders {}xen`",
                                       command_to_init(checked.options), kinds_in(checked.loaders)));
        check_first_domain(checked, host, *kernel, findings);
    }
    if (const std::string fault = fault_with_xen(host); !fault.empty())
        findings.fault(fmt::format("{}: {}", host.name, fault));
}

void check_kernels(const Checked& checked, const Host& host, Findings& findings) {
    if (!host.kernel)
        findings.fault(fmt::format("no kernel, so that no file names this host; run `{}`",
                                   command_to_add_kernel(checked, host)));
    check_left_kernels(checked, host, findings);
    if (const std::string reason = reason_of_refusal(host); !reason.empty())
        findings.fault(fmt::format("boot files of the host refused: {}", reason));
    check_xen(checked, host, findings);
    for (const auto& kernel : {host.kernel, host.previous}) {
        if (!kernel) continue;
        for (const std::string& name : files_in(*kernel))
            check_readable(checked, host, folder_of(host, *kernel) + name, findings);
    }
}

void check_keys(const Checked& checked, const Host& host, Findings& findings) {
    if (host.keys.empty() && checked.state.settings.default_host != host.name)
        findings.fault(fmt::format("no loader finds this host by a key; run `{}`",
                                   command_to_find(checked.options, host.name, host.shared)));
    // Accepted by an earlier version, perhaps.
    if (const auto uuid = read_uuid(host.keys.uuid); !host.keys.uuid.empty() && !uuid)
        findings.fault(uuid.error());
    for (const std::string& ip : host.keys.ips)
        if (ip.contains('/'))
            Findings::note(fmt::format("{}: iPXE does not look for networks; use --mac there", ip));
}

// Files of one owner. A file that cannot be read is a fault.
void check_part(const Checked& checked, const Sums& recorded, const Texts& wanted, std::string_view command,
                Findings& findings) {
    const auto part = compare_part(checked.tree, {recorded, wanted, {}, false, {}}, Edited::refuse);
    if (part)
        check_files(checked, part->changes, command, findings);
    else
        findings.fault(part.error());
}

// Prints what the host gets, and its faults.
void check_host(const Checked& checked, const Host& host, Findings& findings) {
    const TreeSettings& settings = checked.state.settings;
    say(fmt::format("{}: {}\n", host.name, command_line_of(settings, host)));
    if (settings.default_host == host.name) say("    default: machines that no file fits get this entry\n");
    if (host.kernel)
        say(fmt::format("    kernel: {}, {}\n", folder_of(host, *host.kernel), title_of(*host.kernel)));
    if (host.previous)
        say(fmt::format("    fallback: {}, {}\n", folder_of(host, *host.previous), title_of(*host.previous)));
    const Texts wanted = files_of(settings, host);
    for (const auto& [path, text] : wanted) say(fmt::format("    file: {}\n", path));
    check_keys(checked, host, findings);
    check_kernels(checked, host, findings);
    if (const auto sharing = check_sharing(host, checked.state, checked.options); !sharing)
        findings.fault(sharing.error());
    for (const Writer& writer : writers_by_hand(settings, checked.state.hosts, checked.texts))
        if (writer.host == host.name) findings.fault(line_of(writer, checked.state, checked.options));
    check_part(checked, host.sums, wanted, command_on_tree(checked.options, "add " + host.name), findings);
}

// Text of a file; an error is a fault.
std::optional<std::string> read_for_check(const std::string& path, Findings& findings) {
    auto text = read_if_there(path);
    if (text) return std::move(*text);
    findings.fault(fmt::format("{}: {}", path, text.error().message()));
    return std::nullopt;
}

// A loader that was installed from a package, and that package's file now.
void check_loader(const Checked& checked, const LoaderFile& file, Findings& findings) {
    const std::string path = checked.tree.path_of(std::string(file.name));
    const std::string& from = checked.options.from;
    const auto there = is_there(path);
    const auto ours = read_for_check(path, findings);
    if (there && !*there)
        findings.fault(fmt::format("{}: missing; run `{}`", file.name, command_to_init(checked.options)));
    const auto theirs =
        read_for_check(fmt::format("{}{}{}", from, from.ends_with('/') ? "" : "/", file.source), findings);
    if (ours && theirs && *ours != *theirs)
        findings.fault(fmt::format("{}: the package {} has another version; run `{}`", file.name,
                                   file.package, command_to_init(checked.options)));
}

// Loaders' files that are neither of the tree nor of a host: they decide what their machines boot.
void check_other_files(const Checked& checked, Findings& findings) {
    Sums ours = united(checked.state.settings.sums, {});
    for (const Host& host : checked.state.hosts) ours = united(ours, host.sums);
    for (const auto& [path, text] : checked.texts) {
        if (ours.contains(path)) continue;
        Findings::note(path + ": not written by holdfast-netboot");
        check_named_files(checked, path, "remove the file", findings);
    }
}

// Kernels that were kept for a file, which is gone by now.
void check_other_kernels(const Checked& checked, Findings& findings) {
    const std::string folder = checked.tree.path_of("hosts");
    const auto names = list_folder(folder);
    if (!names) return findings.fault(fmt::format("{}: {}", folder, names.error().message()));
    for (const std::string& name : *names) {
        const bool is_host = std::ranges::count(checked.state.hosts, name, &Host::name) != 0;
        if (is_host || !file_naming(checked.texts, "hosts/" + name).empty()) continue;
        Findings::note(fmt::format("hosts/{}: of no host; if nothing needs it, run `rm -r {}`", name,
                                   shell_word(fmt::format("{}/{}", folder, name))));
    }
}

void check_tree(const Checked& checked, Findings& findings) {
    say(fmt::format("{}:\n", checked.tree.folder()));
    for (const LoaderFile& file : loader_files)
        if (checked.loaders.contains(std::string(file.name))) check_loader(checked, file, findings);
    const TreeSettings& settings = checked.state.settings;
    check_part(checked, settings.sums, files_of(settings, checked.state.hosts),
               command_to_init(checked.options), findings);
    check_other_files(checked, findings);
    check_other_kernels(checked, findings);
}

Keys keys_of(const Options& options) {
    return {options.uuid.value_or(""), options.macs.value_or(std::vector<std::string>()),
            options.ips.value_or(std::vector<std::string>())};
}

// The options of `add` for these keys.
std::string words_of(const Keys& keys) {
    std::string words;
    if (!keys.uuid.empty()) words += " --uuid " + keys.uuid;
    for (const std::string& mac : keys.macs) words += " --mac " + mac;
    for (const std::string& ip : keys.ips) words += " --ip " + ip;
    return words;
}

// The hosts to check; the error is a line.
Read<std::vector<Host>> chosen_hosts(const TreeState& state, const Options& options) {
    if (const Keys machine = keys_of(options); !machine.empty()) {
        const auto found = find_host(machine, state.hosts);
        if (!found) {
            say("pxelinux.cfg/default\n");
            const auto place = std::ranges::find(state.hosts, state.settings.default_host, &Host::name);
            if (place == state.hosts.end())
                return std::unexpected(
                    fmt::format("no host has these keys, and there is no default host; run `{}`",
                                command_on_tree(options, "add HOST --export NAME" + words_of(machine))));
            return std::vector{*place};
        }
        say(fmt::format("{}\n", found->file));
        return std::vector{*found->host};
    }
    if (options.host.empty()) return state.hosts;
    const auto place = std::ranges::find(state.hosts, options.host, &Host::name);
    if (place == state.hosts.end())
        return std::unexpected(
            fmt::format("{}: no such host; see `{}`", options.host, command_on_tree(options, "list")));
    return std::vector{*place};
}

}  // namespace

ExitCode run_check(const Options& options) {
    const auto open = open_tree(options);
    if (!open) return fail(open.error());
    const auto hosts = chosen_hosts(open->state, options);
    if (!hosts) return fail(hosts.error(), ExitCode::usage);
    const auto loaders = open->tree.load_loaders();
    if (!loaders) return fail(loaders.error());
    const LoaderTexts loaded = open->tree.load_loader_texts();
    const Checked checked{open->tree, open->state, options, loaded.texts, *loaders};
    Findings findings;
    check_tree(checked, findings);
    for (const auto& lines : {loaded.errors, loaded.no_files})
        for (const std::string& line : lines) findings.fault(line);
    for (const Host& host : *hosts) check_host(checked, host, findings);
    if (findings.faults() != 0)
        return fail(fmt::format("{}", counted(findings.faults(), "fault")), ExitCode::faults);
    say(fmt::format("good: {}\n", counted(hosts->size(), "host")));
    return ExitCode::ok;
}

}  // namespace holdfast::netboot
