// check: what a host gets, by which file, and what is wrong. Changes nothing.

#include <fmt/core.h>
#include <sys/stat.h>

#include <algorithm>

#include "common/text/plural.hh"
#include "netboot/command/update.hh"
#include "netboot/loader/loader_files.hh"
#include "netboot/plan/planned_files.hh"
#include "netboot/tree/tree_files.hh"

namespace holdfast::netboot {
namespace {

// Findings so far. A fault counts, a note does not.
class Findings {
public:
    void fault(std::string_view text) {
        say(fmt::format("    fault: {}\n", text));
        ++faults_;
    }
    static void note(std::string_view text) { say(fmt::format("    note: {}\n", text)); }
    [[nodiscard]] unsigned faults() const { return faults_; }

private:
    unsigned faults_ = 0;
};

// Files that everyone may read: TFTP servers run without privileges.
void check_readable(const BootTree& tree, const std::string& name, Findings& findings) {
    struct stat status {};
    if (::stat(tree.path_of(name).c_str(), &status) != 0)
        findings.fault(fmt::format("{}: missing; add the kernel again with --kernel and --initrd", name));
    else if (!S_ISREG(status.st_mode) || status.st_size == 0)
        findings.fault(
            fmt::format("{}: empty, or no file; add the kernel again with --kernel and --initrd", name));
    else if ((status.st_mode & S_IROTH) == 0)
        findings.fault(fmt::format("{}: not readable for the TFTP server; run `chmod 644` on it", name));
}

void check_files(const Changes& changes, std::string_view command, Findings& findings) {
    for (const Change& change : changes.list)
        findings.fault(fmt::format("{}: {}; run `holdfast-netboot {}`", change.path,
                                   change.before ? "from an interrupted change" : "missing", command));
    for (const Change& change : changes.edited)
        findings.fault(
            fmt::format("{}: edited by hand, and its entry has changed; run `holdfast-netboot {}` to see the "
                        "change",
                        change.path, command));
    for (const std::string& path : changes.kept) Findings::note(path + ": edited by hand");
}

void check_kernels(const BootTree& tree, const Host& host, Findings& findings) {
    if (!host.kernel)
        findings.fault(fmt::format(
            "no kernel, so that no file names this host; run `holdfast-netboot add {} --kernel FILE "
            "--initrd FILE`",
            host.name));
    for (const auto& kernel : {host.kernel, host.previous}) {
        if (!kernel) continue;
        for (const char* name : {"/vmlinuz", "/initrd.img"})
            check_readable(tree, folder_of(host, *kernel) + name, findings);
    }
}

void check_keys(const TreeState& state, const Host& host, Findings& findings) {
    if (host.keys.empty() && state.settings.default_host != host.name)
        findings.fault(
            fmt::format("no loader finds this host; add --mac, --uuid or --ip, or run `holdfast-netboot "
                        "default {}`",
                        host.name));
    for (const std::string& ip : host.keys.ips)
        if (ip.contains('/'))
            Findings::note(fmt::format("{}: iPXE does not look for networks; use --mac there", ip));
}

// Prints what the host gets, and its faults.
Read<void> check_host(const BootTree& tree, const TreeState& state, const Host& host, Findings& findings) {
    say(fmt::format("{}: {}\n", host.name, command_line_of(state.settings, host)));
    if (host.kernel)
        say(fmt::format("    kernel: {}, Linux {}\n", folder_of(host, *host.kernel), host.kernel->release));
    if (host.previous)
        say(fmt::format("    fallback: {}, Linux {}\n", folder_of(host, *host.previous),
                        host.previous->release));
    const Texts wanted = files_of(state.settings, host);
    for (const auto& [path, text] : wanted) say(fmt::format("    file: {}\n", path));
    check_keys(state, host, findings);
    check_kernels(tree, host, findings);
    const auto part = compare_part(tree, {host.sums, wanted, {}, false, {}}, Edited::refuse);
    if (!part) return std::unexpected(part.error());
    check_files(part->changes, "add " + host.name, findings);
    return {};
}

// A loader that was installed from a package, and that package's file now.
void check_loader(const BootTree& tree, const Options& options, const LoaderFile& file, Findings& findings) {
    const auto ours = read_if_there(tree.path_of(std::string(file.name)));
    if (!ours || !*ours)
        findings.fault(fmt::format("{}: missing; run `holdfast-netboot init {}`", file.name, tree.folder()));
    const std::string path =
        fmt::format("{}{}{}", options.from, options.from.ends_with('/') ? "" : "/", file.source);
    const auto theirs = read_if_there(path);
    if (ours && *ours && theirs && *theirs && **ours != **theirs)
        findings.fault(fmt::format("{}: the package {} has another version; run `holdfast-netboot init {}`",
                                   file.name, file.package, tree.folder()));
}

Read<void> check_tree(const BootTree& tree, const TreeState& state, const Options& options,
                      Findings& findings) {
    say(fmt::format("{}:\n", tree.folder()));
    const auto loaders = tree.load_loaders();
    if (!loaders) return std::unexpected(loaders.error());
    for (const LoaderFile& file : loader_files)
        if (loaders->contains(std::string(file.name))) check_loader(tree, options, file, findings);
    const auto part = compare_part(
        tree, {state.settings.sums, files_of(state.settings, state.hosts), {}, false, {}}, Edited::refuse);
    if (!part) return std::unexpected(part.error());
    check_files(part->changes, "init " + tree.folder(), findings);
    return {};
}

Keys keys_of(const Options& options) {
    return {options.uuid.value_or(""), options.macs.value_or(std::vector<std::string>()),
            options.ips.value_or(std::vector<std::string>())};
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
                    "no host has these keys, and there is no default host; run `holdfast-netboot add`");
            return std::vector{*place};
        }
        say(fmt::format("{}\n", found->file));
        return std::vector{*found->host};
    }
    if (options.host.empty()) return state.hosts;
    const auto place = std::ranges::find(state.hosts, options.host, &Host::name);
    if (place == state.hosts.end())
        return std::unexpected(fmt::format("{}: no such host; see `holdfast-netboot list`", options.host));
    return std::vector{*place};
}

}  // namespace

ExitCode run_check(const Options& options) {
    const auto open = open_tree(options);
    if (!open) return fail(open.error());
    const auto hosts = chosen_hosts(open->state, options);
    if (!hosts) return fail(hosts.error(), ExitCode::usage);
    Findings findings;
    if (const auto checked = check_tree(open->tree, open->state, options, findings); !checked)
        return fail(checked.error());
    for (const Host& host : *hosts)
        if (const auto checked = check_host(open->tree, open->state, host, findings); !checked)
            return fail(checked.error());
    if (findings.faults() != 0)
        return fail(fmt::format("{}", counted(findings.faults(), "fault")), ExitCode::faults);
    say(fmt::format("good: {}\n", counted(hosts->size(), "host")));
    return ExitCode::ok;
}

}  // namespace holdfast::netboot
