// take: boot files that hosts have handed to holdfast-server, from the spool into the tree.
//
// The files are copied into a draft folder of the tree, and checked there. Nothing else changes until all is
// good; then the change is that of `add --kernel`, of the host's own files alone. The host's state names the
// manifest, so that only another one is work, whatever the clock says; a host without work is recognized by
// its own state and files, without the lock of the tree, so that many hosts cost little.

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <set>

#include "common/text/json.hh"
#include "netboot/command/hints.hh"
#include "netboot/command/kernels.hh"
#include "netboot/inspect/inspection.hh"
#include "netboot/loader/kernel_image.hh"
#include "netboot/name/server_name.hh"
#include "netboot/plan/planned_files.hh"
#include "netboot/plan/published.hh"
#include "netboot/tree/spool.hh"
#include "netboot/tree/tree_files.hh"

namespace holdfast::netboot {
namespace {

using std::unexpected;

enum class Outcome : std::uint8_t { nothing, unchanged, ignored, published, refused, failed };

struct Taken {
    std::string host;
    Outcome outcome = Outcome::nothing;
    std::string reason{};  // why ignored, refused or failed
    std::string next{};    // titles; empty: none
    std::string previous{};
    bool again = false;  // another manifest came meanwhile
};

// Obstacle to the boot files of a host. `is_local`: of this machine, not of the files.
struct Problem {
    std::string line;
    bool is_local = false;
};
using Try = std::expected<void, Problem>;

Try or_local(const Read<void>& read) {
    if (!read) return unexpected(Problem{read.error(), true});
    return {};
}

Try or_refused(std::string_view file, const Read<void>& read) {
    if (!read) return unexpected(Problem{fmt::format("{}: {}", file, read.error())});
    return {};
}

Try or_refused(std::string_view file, const Inspection& inspection) {
    if (inspection) return {};
    return unexpected(
        Problem{fmt::format("{}: {}", file, inspection.error().line), inspection.error().is_local});
}

const Host* host_named(const TreeState& state, const std::string& name) {
    const auto found = std::ranges::find(state.hosts, name, &Host::name);
    return found == state.hosts.end() ? nullptr : &*found;
}

void name_kernels(Taken& taken, const Host& host) {
    if (host.kernel) taken.next = title_of(*host.kernel);
    if (host.kernel && host.previous) taken.previous = title_of(*host.previous);
}

// The options for a change that no person has asked for.
Options keeping_edits(Options options) {
    options.keep = true;
    options.force = false;
    return options;
}

bool has_changes(const std::vector<Part>& parts) {
    return std::ranges::any_of(parts, [](const Part& part) { return !part.changes.list.empty(); });
}

// Error of a copy: of the file in the spool, or of this machine.
Problem problem_of(const SysError& error, const std::string& name) {
    for (const int code : {ENOENT, EBADMSG, ELOOP, EINVAL, ENXIO, EISDIR})
        if (error.code == code)
            return {
                fmt::format("{}: it changed while it was copied, or is damaged; run "
                            "`holdfast-client bootfiles --push` on the host",
                            name)};
    return {fmt::format("{}: {}; make room, or mend the cause, on the boot server", name, error.message()),
            true};
}

// Check of the copies in a folder.
Try inspect_files(const std::string& folder, const nbd::BootManifest& manifest, bool xen) {
    const std::string& release = manifest.kernel.version;
    if (manifest.initrd.version != release)
        return unexpected(
            Problem{fmt::format("the initramfs is of version {0}, and the kernel of {1}; run "
                                "`update-initramfs -c -k {1}` on the host",
                                manifest.initrd.version, release)});
    if (auto good = or_refused("vmlinuz", inspect_kernel(folder + "/vmlinuz", release)); !good) return good;
    if (auto good = or_refused("initrd.img", inspect_initramfs(folder + "/initrd.img", release)); !good)
        return good;
    if (!xen) return {};
    if (auto good = or_refused("vmlinuz", check_first_domain(release)); !good) return good;
    if (auto good = or_refused("vmlinuz", inspect_first_domain(folder + "/vmlinuz")); !good) return good;
    return or_refused("xen.gz", inspect_hypervisor(folder + "/xen.gz"));
}

// The way of one manifest into the tree, under the lock of the tree.
class Taking {
public:
    Taking(OpenTree& open, const Options& options, const Spool& spool, const Host& before,
           const std::string& text)
        : tree_(open.tree),
          state_(open.state),
          options_(options),
          spool_(spool),
          before_(before),
          text_(text),
          sum_(sum_of(text)) {}

    [[nodiscard]] Taken run();

private:
    [[nodiscard]] Try take();
    [[nodiscard]] Try take_new(const nbd::BootManifest& manifest);
    [[nodiscard]] Try publish(TreeState& after, const nbd::BootManifest* copied);
    [[nodiscard]] Try fill_draft(const Host& host, const nbd::BootManifest& manifest);
    [[nodiscard]] Try complete_interrupted();
    [[nodiscard]] Try refuse(const Problem& problem);
    [[nodiscard]] Try answer();
    [[nodiscard]] Try make(const std::vector<Part>& parts);
    [[nodiscard]] Try settle(const Try& done);
    [[nodiscard]] std::string sums_of_kernel(const Host& host) const;
    [[nodiscard]] bool has_kernel(const nbd::BootManifest& manifest, bool xen) const;

    BootTree& tree_;
    const TreeState& state_;
    const Options& options_;
    const Spool& spool_;
    const Host before_;
    const std::string& text_;  // the manifest
    const std::string sum_;
    Host now_;              // once taken
    bool began_ = false;    // to change the tree: the state of before is no longer true
    bool changed_ = false;  // a file of the tree
};

// Computes those of a kernel from a command from its files; empty if one of them cannot be read.
std::string Taking::sums_of_kernel(const Host& host) const {
    if (!host.kernel || !host.kernel->sums.empty()) return host.kernel ? host.kernel->sums : "";
    const std::string folder = tree_.path_of(folder_of(host, *host.kernel));
    std::string sums;
    for (const std::string& name : files_in(*host.kernel)) {
        const auto sum = sum_of_file(folder + name);
        if (!sum) return "";
        sums += (sums.empty() ? "" : ",") + *sum;
    }
    return sums;
}

// Also stores the sums of the kernel once they are known, because they take long.
Try Taking::answer() {
    const std::string sums = sums_of_kernel(now_);
    if (now_.kernel && now_.kernel->sums != sums) {
        now_.kernel->sums = sums;
        if (auto stored = or_local(tree_.store(now_)); !stored) return stored;
    }
    const auto written = spool_.publish(now_.export_name, published_text(now_, sum_, sums));
    if (written) return {};
    return unexpected(
        Problem{fmt::format("{}: the answer to the host could not be written: {}; correct the permissions",
                            spool_.folder(), written.error().message()),
                true});
}

bool Taking::has_kernel(const nbd::BootManifest& manifest, bool xen) const {
    if (!before_.kernel || sums_of_kernel(before_) != sums_of(manifest, xen)) return false;
    const auto whole = tree_.is_whole(before_, *before_.kernel);
    return whole && *whole;
}

Try Taking::fill_draft(const Host& host, const nbd::BootManifest& manifest) {
    const bool xen = host.kernel->xen;
    const auto draft = tree_.begin_kernel(host, *host.kernel);
    if (!draft) return unexpected(Problem{draft.error(), true});
    const std::vector<std::string> names = files_in(*host.kernel);
    const std::vector<nbd::BootFile> files = files_of(manifest, xen);
    for (std::size_t i = 0; i < names.size(); ++i) {
        const auto copied =
            spool_.copy(host.export_name, digits_of(files[i].sha256), files[i].size, *draft + names[i]);
        if (!copied) return unexpected(problem_of(copied.error(), names[i].substr(1)));
    }
    return inspect_files(*draft, manifest, xen);
}

// Makes the changes, once `now_` may no longer be the host of before.
Try Taking::make(const std::vector<Part>& parts) {
    began_ = true;
    if (auto made = or_local(make_changes(tree_, parts)); !made) return made;
    changed_ = has_changes(parts);
    if (!options_.json) report_changes(parts);
    return {};
}

// `copied`: the manifest whose files are the new kernel; nullptr if there is none.
Try Taking::publish(TreeState& after, const nbd::BootManifest* copied) {
    Host& host = host_in(after, before_.name);
    const auto parts = compare_host(tree_, state_, after, options_);
    if (!parts) return unexpected(Problem{parts.error(), true});
    if (const Change* const edit = edit_in_the_way(*parts, options_))
        return unexpected(Problem{fmt::format(
            "{}: {}; run `{}` on the boot server to keep the edits, or with --force to lose them", edit->path,
            obstacle_to(*edit).state, command_on_tree(options_, fmt::format("take {} --keep", host.name)))});
    const auto texts = check_texts_that_stay(tree_, state_, after, *parts, options_);
    if (!texts) return unexpected(Problem{texts.error().line});
    if (copied != nullptr) {
        // Drafts and versions of an interrupted change need no room any more.
        (void)tree_.remove_other_kernels(before_, tree_.load_loader_texts().texts);
        auto filled = fill_draft(host, *copied);
        if (!filled) {
            tree_.drop_kernel(host, *host.kernel);
            return filled;
        }
        if (auto finished = or_local(tree_.finish_kernel(host, *host.kernel)); !finished) return finished;
    }
    if (auto made = make(*parts); !made) return made;
    if (copied != nullptr) changed_ = true;
    if (copied != nullptr) report_old_kernels(tree_.remove_other_kernels(host, *texts), options_.json);
    now_ = host;
    return {};
}

Try Taking::take_new(const nbd::BootManifest& manifest) {
    TreeState after = state_;
    Host& host = host_in(after, before_.name);
    host.taken = sum_;
    host.refused = "";
    const bool xen = host.kernel && host.kernel->xen;
    if (xen && !manifest.xen)
        return unexpected(Problem{fmt::format(
            "the host boots Xen, and has sent no hypervisor; install xen-system-amd64 on the host, or run "
            "`{}` on the boot server to boot without it",
            command_on_tree(options_,
                            fmt::format("add {} --kernel FILE --initrd FILE --xen ''", host.name)))});
    if (has_kernel(manifest, xen)) {
        host.kernel->sums = sums_of(manifest, xen);
        return publish(after, nullptr);
    }
    if (xen)
        if (auto checked = check_loaders_for_xen(tree_, host, options_); !checked)
            return unexpected(Problem{checked.error()});
    const auto version = tree_.next_version(host);
    if (!version) return unexpected(Problem{version.error(), true});
    const KernelCopy copy{*version, manifest.kernel.version, xen, sums_of(manifest, xen)};
    if (auto put = or_local(put_first(tree_, host, copy)); !put) return put;
    if (auto checked = check_words_for_xen(host); !checked) return unexpected(Problem{checked.error()});
    return publish(after, &manifest);
}

Try Taking::take() {
    const auto manifest = nbd::read_boot_manifest(text_);
    if (!manifest)
        return unexpected(
            Problem{fmt::format("the manifest is invalid: {}; install the same version of "
                                "Holdfast on host and servers",
                                line_of_reason(manifest.error()))});
    return take_new(*manifest);
}

// Completes a change that was interrupted after the state was stored.
Try Taking::complete_interrupted() {
    TreeState after = state_;
    Host& host = host_in(after, before_.name);
    host.refused = "";  // about another manifest
    const auto parts = compare_host(tree_, state_, after, keeping_edits(options_));
    if (!parts) return unexpected(Problem{parts.error(), true});
    if (has_changes(*parts) || !before_.refused.empty())
        if (auto made = make(*parts); !made) return made;
    now_ = host;
    return {};
}

// Records the reason where the host and the administrator look for it; the tree stays as it is.
Try Taking::refuse(const Problem& problem) {
    now_.refused = sum_ + " " + line_of_reason(problem.line);
    if (now_.refused != before_.refused)
        if (auto stored = or_local(tree_.store(now_)); !stored) return stored;
    return answer();
}

// Tells the host, and the administrator, how it ended; the state changes only if the tree has not.
Try Taking::settle(const Try& done) {
    if (done) return answer();
    now_ = before_;
    if (began_) return {};  // the state of before is no longer true
    return refuse(done.error());
}

Taken Taking::run() {
    Taken taken;
    taken.host = before_.name;
    const bool is_known = before_.taken == sum_;
    const Try done = is_known ? complete_interrupted() : take();
    taken.outcome = changed_ ? Outcome::published : Outcome::unchanged;
    if (!done) {
        taken.outcome = done.error().is_local ? Outcome::failed : Outcome::refused;
        taken.reason = line_of_reason(done.error().line);
    }
    if (const Try settled = settle(done); !settled) {
        taken.outcome = Outcome::failed;
        taken.reason += (taken.reason.empty() ? "" : "; ") + settled.error().line;
    }
    name_kernels(taken, now_);
    const auto later = spool_.manifest(before_.export_name);
    taken.again = later && *later && **later != text_;
    return taken;
}

Taken failed(const std::string& host, std::string reason) {
    return {host, Outcome::failed, std::move(reason)};
}

// A tree of the command, as it was at the start.
struct Chosen {
    Options options;  // for this tree only
    TreeState state;
    std::vector<std::string> hosts;  // to take
};
using AllChosen = std::vector<Chosen>;

// Servers of the hosts whose boot files the spool may have: those named; otherwise that of the tree, or the
// only one of the hosts.
std::set<std::string> servers_here(const TreeState& state, const Options& options) {
    std::set<std::string> servers;
    for (const std::string& server : options.servers) servers.insert(plain_server(server));
    if (servers.empty() && !state.settings.server.empty())
        servers.insert(plain_server(state.settings.server));
    if (!servers.empty()) return servers;
    for (const Host& host : state.hosts) servers.insert(plain_server(server_of(state.settings, host)));
    return servers.size() == 1 ? servers : std::set<std::string>();
}

bool is_of_this_server(const TreeState& state, const Host& host, const Options& options) {
    return servers_here(state, options).contains(plain_server(server_of(state.settings, host)));
}

// Host with the same export, other than the one named; empty: none.
std::string holder_of(const std::string& export_name, const TreeState& state, const Options& options,
                      const std::string& but = "") {
    for (const Host& other : state.hosts)
        if (other.name != but && other.export_name == export_name && is_of_this_server(state, other, options))
            return other.name;
    return "";
}

// Another host with this export: the spool does not tell them apart. Empty: none.
std::string twin_of(const TreeState& state, const Host& host, const Options& options, const AllChosen& all) {
    if (const std::string twin = holder_of(host.export_name, state, options, host.name); !twin.empty())
        return twin;
    for (const Chosen& each : all) {
        if (each.options.tree == options.tree) continue;
        if (const std::string twin = holder_of(host.export_name, each.state, each.options); !twin.empty())
            return fmt::format("{} of {}", twin, each.options.tree);
    }
    return "";
}

// Why the boot files of this export are not those of the host; nullopt: they are.
std::optional<Taken> obstacle_in_names(const TreeState& state, const Host& host, const Options& options,
                                       const AllChosen& all) {
    if (!is_of_this_server(state, host, options)) {
        const std::string server = server_of(state.settings, host);
        return Taken{
            host.name, options.all ? Outcome::ignored : Outcome::failed,
            fmt::format("the host boots from {}, and these are of the server here; run `{}` if both "
                        "are the same",
                        server,
                        command_on_tree(options, fmt::format("take {} --server {}", host.name, server)))};
    }
    if (const std::string twin = twin_of(state, host, options, all); !twin.empty())
        return failed(host.name,
                      fmt::format("the host {} has an export of the same name, and the boot files may be "
                                  "of either; rename an export, or remove a host",
                                  twin));
    return std::nullopt;
}

// True if nothing is to do for the host: its manifest is taken, its files are those of the plan, and the host
// has its answer.
bool is_settled(BootTree& tree, const TreeState& state, const Spool& spool, const std::string& manifest,
                const Options& options) {
    const Host& host = state.hosts[0];
    const std::string sum = sum_of(manifest);
    if (host.taken != sum || !host.refused.empty()) return false;
    if (host.kernel && host.kernel->sums.empty()) return false;
    TreeState after = state;
    const auto parts = compare_host(tree, state, after, keeping_edits(options));
    return parts && !has_changes(*parts) &&
           spool.has_published(host.export_name,
                               published_text(host, sum, host.kernel ? host.kernel->sums : ""));
}

// The end of a host without work, which changes nothing; nullopt if there may be work, or an error. `chosen`
// has the names of the other hosts.
std::optional<Taken> take_nothing(const Chosen& chosen, const AllChosen& all, const Options& options) {
    BootTree tree(options.tree);
    const auto own = tree.load(options.host);
    if (!own || own->hosts.empty()) return std::nullopt;
    const Host& host = own->hosts[0];
    const Spool spool(options.spool);
    const auto manifest = spool.manifest(host.export_name);
    if (!manifest) return std::nullopt;
    Taken taken{host.name};
    if (!*manifest) return taken;
    if (obstacle_in_names(chosen.state, host, options, all)) return std::nullopt;
    if (!is_settled(tree, *own, spool, **manifest, options)) return std::nullopt;
    taken.outcome = Outcome::unchanged;
    name_kernels(taken, host);
    return taken;
}

Taken take_once(const Chosen& chosen, const AllChosen& all, const std::string& name) {
    Options options = chosen.options;
    options.host = name;
    if (auto nothing = take_nothing(chosen, all, options)) return std::move(*nothing);
    auto open = open_tree(options);
    if (!open) return failed(name, open.error());
    const Host* const host = host_named(open->state, name);
    if (host == nullptr) return {name};  // removed meanwhile
    const Spool spool(options.spool);
    const auto text = spool.manifest(host->export_name);
    if (!text)
        return failed(name, fmt::format("{}: the manifest cannot be read: {}; run holdfast-netboot as root",
                                        spool.folder(), text.error().message()));
    if (!*text) return {name};
    if (auto obstacle = obstacle_in_names(open->state, *host, options, all)) return std::move(*obstacle);
    return Taking(*open, options, spool, *host, **text).run();
}

Taken take_host(const Chosen& chosen, const AllChosen& all, const std::string& name) {
    constexpr unsigned most_attempts = 3;
    Taken taken = take_once(chosen, all, name);
    for (unsigned attempt = 1; attempt < most_attempts && taken.again; ++attempt)
        taken = take_once(chosen, all, name);
    return taken;
}

std::string_view word_of(Outcome outcome) {
    switch (outcome) {
        case Outcome::nothing: return "none";
        case Outcome::unchanged: return "unchanged";
        case Outcome::ignored: return "ignored";
        case Outcome::published: return "published";
        case Outcome::refused: return "refused";
        case Outcome::failed: break;
    }
    return "failed";
}

std::string json_of(const Taken& taken, const Options& options) {
    const auto or_null = [](const std::string& text) { return text.empty() ? "null" : json_string(text); };
    return fmt::format("{{\"tree\":{},\"host\":{},\"result\":{},\"next\":{},\"previous\":{},\"reason\":{}}}",
                       json_string(options.tree), json_string(taken.host),
                       json_string(word_of(taken.outcome)), or_null(taken.next), or_null(taken.previous),
                       or_null(taken.reason));
}

// Prints nothing about a host without work, unless the host is named.
void report(const Taken& taken, const Options& options) {
    const std::string host = options.trees.size() < 2 ? taken.host : options.tree + ": " + taken.host;
    if (!taken.reason.empty())
        complain(fmt::format("{}: boot files {}: {}", host, word_of(taken.outcome), taken.reason));
    const bool has_news = taken.outcome >= Outcome::published;
    if (options.json || (options.all && !has_news)) return;
    const std::string next = taken.next.empty() ? "no kernel" : taken.next;
    const std::string fallback = taken.previous.empty() ? "" : ", fallback " + taken.previous;
    say(fmt::format("{}: boot files: {}; the next boot gets {}{}\n", host, word_of(taken.outcome), next,
                    fallback));
}

// The tree of these options, and the hosts of the command; the error is a line about one that cannot be
// taken.
Read<Chosen> choose(const Options& options) {
    // Locked, so that drafts of an interrupted command are removed.
    auto open = open_tree(options);
    if (!open) return unexpected(open.error());
    Chosen chosen{options, std::move(open->state), {}};
    for (const Host& host : chosen.state.hosts)
        if (options.all && !host.shared) chosen.hosts.push_back(host.name);
    for (const std::string& name : options.hosts) {
        const Host* const host = host_named(chosen.state, name);
        if (host == nullptr)
            return unexpected(
                fmt::format("{}: no such host; see `{}`", name, command_on_tree(options, "list")));
        if (host->shared)
            return unexpected(fmt::format(
                "{}: shared by several machines, none of which chooses the kernel; run `{}`", name,
                command_on_tree(options, fmt::format("add {} --kernel FILE --initrd FILE", name))));
        chosen.hosts.push_back(name);
    }
    return chosen;
}

// Statuses of several hosts: a failure, which may end, counts before a refusal.
ExitCode worse(ExitCode code, ExitCode other) {
    if (code == ExitCode::ok || other == ExitCode::failure) return other == ExitCode::ok ? code : other;
    return code;
}

ExitCode code_of(Outcome outcome) {
    if (outcome == Outcome::failed) return ExitCode::failure;
    return outcome == Outcome::refused ? ExitCode::faults : ExitCode::ok;
}

// A tree that cannot be opened does not stop the others.
ExitCode take_trees(const Options& options) {
    ExitCode code = ExitCode::ok;
    AllChosen all;
    for (const std::string& tree : options.trees) {
        Options one = options;
        one.tree = tree;
        auto chosen = choose(one);
        if (chosen)
            all.push_back(std::move(*chosen));
        else
            code = fail(chosen.error(), options.all ? ExitCode::failure : ExitCode::usage);
    }
    std::string text = "[";
    for (const Chosen& chosen : all) {
        for (const std::string& name : chosen.hosts) {
            const Taken taken = take_host(chosen, all, name);
            report(taken, chosen.options);
            text += (text.size() > 1 ? ",\n" : "") + json_of(taken, chosen.options);
            code = worse(code, code_of(taken.outcome));
        }
    }
    if (options.json) say(text + "]\n");
    return code;
}

ExitCode fail_at(const Options& options, const Result<void>& result) {
    return fail(fmt::format("{}: {}; run holdfast-netboot as root", options.spool, result.error().message()));
}

}  // namespace

ExitCode run_take(const Options& given) {
    Options options = given;
    if (options.trees.empty()) options.trees.push_back(options.tree);
    if (!options.all) return take_trees(options);
    // First, so that a manifest that comes meanwhile makes the unit run again.
    const Spool spool(options.spool);
    if (const auto marked = spool.take_mark(); !marked) return fail_at(options, marked);
    const ExitCode code = take_trees(options);
    const auto ended = code == ExitCode::failure ? spool.keep_mark() : spool.remove_mark();
    return ended ? code : fail_at(options, ended);
}

}  // namespace holdfast::netboot
