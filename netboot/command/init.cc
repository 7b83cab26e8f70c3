// init: the tree, its loaders, and the lines of the DHCP server.

#include <fmt/core.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <set>

#include "common/text/text.hh"
#include "netboot/command/hints.hh"
#include "netboot/command/update.hh"
#include "netboot/loader/loader_files.hh"
#include "netboot/tree/tree_files.hh"

namespace holdfast::netboot {
namespace {

using std::unexpected;

// Kinds of the loaders: those that are named, or else those that the tree has.
std::set<std::string_view> kinds_of(const Options& options, const Sums& recorded) {
    if (options.loaders) return {options.loaders->begin(), options.loaders->end()};
    std::set<std::string_view> kinds;
    for (const LoaderFile& file : loader_files)
        if (recorded.contains(std::string(file.name))) kinds.insert(file.kind);
    return kinds.empty() ? std::set<std::string_view>{"bios", "uefi"} : kinds;
}

// Loaders of the chosen kinds from the packages. The error names all missing packages.
Read<Texts> read_loaders(const BootTree& tree, const Options& options) {
    const auto recorded = tree.load_loaders();
    if (!recorded) return unexpected(recorded.error());
    const auto kinds = kinds_of(options, *recorded);
    Texts texts;
    std::set<std::string_view> missing;
    for (const LoaderFile& file : loader_files) {
        if (!kinds.contains(file.kind)) continue;
        const std::string path =
            fmt::format("{}{}{}", options.from, options.from.ends_with('/') ? "" : "/", file.source);
        auto text = read_if_there(path);
        if (!text) return unexpected(fmt::format("{}: {}", path, text.error().message()));
        if (*text)
            texts[std::string(file.name)] = std::move(**text);
        else
            missing.insert(file.package);
    }
    if (missing.empty()) return texts;
    std::string packages;
    for (const std::string_view package : missing) packages += fmt::format(" {}", package);
    return unexpected(
        fmt::format("loaders are missing; run `apt install{}`, or choose loaders with --loaders", packages));
}

Read<Part> part_of_loaders(BootTree& tree, const Options& options) {
    auto recorded = tree.load_loaders();
    if (!recorded) return unexpected(recorded.error());
    auto texts = read_loaders(tree, options);
    if (!texts) return unexpected(texts.error());
    Part part{*recorded,
              std::move(*texts),
              {},
              false,
              [&tree](const Sums& sums) {
                  return tree.store_loaders(sums); },
              true};
    const Edited edited = edited_of(options, part);
    return compare_part(tree, std::move(part), edited);
}

// Absolute path without symbolic links, as DHCP servers need it. If the folder does not exist yet, which is
// so with --dry-run, the path from the working folder.
Read<std::string> absolute(const std::string& path) {
    const std::unique_ptr<char, void (*)(void*)> real(::realpath(path.c_str(), nullptr), &::free);
    if (real) return std::string(real.get());
    if (errno != ENOENT || path == ".")
        return unexpected(fmt::format("{}: {}", path, SysError{errno, "realpath"}.message()));
    if (path.starts_with('/')) return path;
    const auto here = absolute(".");
    return here ? Read<std::string>(*here + "/" + path) : here;
}

// Name of a file from the root. The error is for a link, which would be replaced, and for devices.
Read<std::string> absolute_name(const std::string& path) {
    struct stat status {};
    const bool found = ::lstat(path.c_str(), &status) == 0;
    if (!found && errno != ENOENT)
        return unexpected(fmt::format("--dhcp-file {}: {}", path, SysError{errno, "lstat"}.message()));
    if (found && !S_ISREG(status.st_mode))
        return unexpected(
            fmt::format("--dhcp-file {}: a link, or no regular file; name the file itself", path));
    if (path.starts_with('/')) return path;
    const auto here = absolute(".");
    return here ? Read<std::string>(*here + "/" + path) : here;
}

// Address of the server without its port; empty if it is no IPv4 address.
std::string ipv4_of(const std::string& server) {
    std::string_view rest = server;
    return read_ip(take_until(rest, ':')).value_or("");
}

// Loader for UEFI HTTP boot. Debian's signed GRUB reads HTTP only where its package says so; shim without it
// ends in GRUB's shell.
std::string http_loader_of(const Texts& loaders) {
    const auto grub = loaders.find("grubx64.efi");
    if (grub != loaders.end() && grub->second.contains("HTTP/1.1")) return "shimx64.efi";
    return loaders.contains("snponly.efi") ? "snponly.efi" : "";
}

// Empty without --dhcp.
Read<std::string> lines_for_dhcp(const Options& options, const TreeSettings& settings, const Texts& loaders) {
    if (!options.dhcp) return "";
    const std::string address = options.address.empty() ? ipv4_of(settings.server) : options.address;
    if (address.empty())
        return unexpected("--dhcp: the IPv4 address of this boot server is not known; use --address");
    const std::string_view network = std::string_view(options.proxy).substr(0, options.proxy.find('/'));
    const auto folder = absolute(options.tree);
    if (!folder) return folder;
    const std::string http = options.http.empty() ? "http://" + address : options.http;
    const std::string loader = http_loader_of(loaders);
    if (loader == "shimx64.efi" && http.find('/', std::string_view("http://").size()) != std::string::npos)
        return unexpected(fmt::format(
            "--http {}: GRUB looks for /grub/grub.cfg on the web server; make the tree the root of "
            "the server, and name it without a path",
            http));
    Options named = options;
    named.tree = *folder;
    const std::string command =
        fmt::format("{} --loaders {}ipxe", command_to_init(named), kinds_in(sums_of(loaders)));
    return dhcp_lines(*options.dhcp, {*folder, address, http, loader, std::string(network), command});
}

// The file of --dhcp-file: as any file of the tree, it is the administrator's once its text is another.
Read<Part> part_of_dhcp_file(BootTree& tree, const Options& options, const std::string& lines) {
    const auto path = absolute_name(options.dhcp_file);
    if (!path) return unexpected(path.error());
    auto files = tree.load_dhcp_files();
    if (!files) return unexpected(files.error());
    Part part;
    if (const auto found = files->find(*path); found != files->end()) part.recorded.insert(*found);
    part.wanted[*path] = lines;
    part.store = [&tree, path = *path, files = std::move(*files)](const Sums& sums) {
        Sums all = files;
        all[path] = sums.at(path);
        return tree.store_dhcp_files(all);
    };
    part.of_command = true;
    const Edited edited = edited_of(options, part);
    return compare_part(tree, std::move(part), edited);
}

// All parts; `lines` are for the DHCP server.
Read<std::vector<Part>> compare_for_init(BootTree& tree, const TreeState& before, TreeState& after,
                                         const Options& options, const std::string& lines) {
    auto parts = compare_all(tree, before, after, options);
    if (!parts) return parts;
    auto loaders = part_of_loaders(tree, options);
    if (!loaders) return unexpected(loaders.error());
    parts->push_back(std::move(*loaders));
    if (options.dhcp_file.empty()) return parts;
    auto dhcp_file = part_of_dhcp_file(tree, options, lines);
    if (!dhcp_file) return unexpected(dhcp_file.error());
    parts->push_back(std::move(*dhcp_file));
    return parts;
}

// Error if --loaders removes what a host of the tree needs: the modules for Xen, and a loader that they
// extend.
Read<void> check_loaders_wanted(const BootTree& tree, const TreeState& state, const Options& options) {
    const auto recorded = tree.load_loaders();
    if (!recorded) return unexpected(recorded.error());
    const auto kinds = kinds_of(options, *recorded);
    const std::string had = kinds_in(*recorded);
    const bool loses_xen = had.contains("xen,") && !kinds.contains("xen");
    const bool has_base = kinds.contains("bios") || kinds.contains("uefi");
    const bool loses_base = !has_base && (had.contains("bios,") || had.contains("uefi,"));
    const auto host = std::ranges::find_if(state.hosts, [](const Host& each) { return has_xen(each); });
    if (host == state.hosts.end() || (!loses_xen && !loses_base)) return {};
    const std::string_view lost = loses_xen ? "xen" : "bios,uefi";
    return unexpected(fmt::format(
        "--loaders: the host {0} has a kernel under Xen, which needs the loaders {1}; add {1} to the list, "
        "or first give the host a kernel and a fallback without Xen, by `{2}`, twice",
        host->name, lost,
        command_on_tree(options, fmt::format("add {} --kernel FILE --initrd FILE --xen ''", host->name))));
}

// Folders and lock of a new tree; nothing with --dry-run.
Read<void> begin(BootTree& tree, const Options& options) {
    if (options.dry_run) return {};
    if (auto created = tree.create(); !created) return created;
    return tree.lock();
}

}  // namespace

ExitCode run_init(const Options& options) {
    BootTree tree(options.tree);
    // Before the first folder: a missing package leaves no half a tree.
    const auto loaders = read_loaders(tree, options);
    if (!loaders) return fail(loaders.error());
    if (const auto begun = begin(tree, options); !begun) return fail(begun.error());
    const auto before = tree.load();
    if (!before) return fail(before.error());
    if (const auto checked = check_loaders_wanted(tree, *before, options); !checked)
        return fail(checked.error(), ExitCode::usage);
    TreeState after = *before;
    if (options.server) after.settings.server = *options.server;
    if (const auto checked = refuse_new_sharing(*before, after, options); !checked)
        return fail(checked.error(), ExitCode::usage);
    const auto lines = lines_for_dhcp(options, after.settings, *loaders);
    if (!lines) return fail(lines.error(), ExitCode::usage);
    const auto parts = compare_for_init(tree, *before, after, options, *lines);
    if (!parts) return fail(parts.error());
    if (const auto texts = check_texts_that_stay(tree, *before, after, *parts, options); !texts)
        return fail(texts.error().line, texts.error().code);
    const ExitCode code = carry_out(tree, *parts, options, {});
    if (code == ExitCode::ok && options.dhcp_file.empty()) say(*lines);
    return code;
}

}  // namespace holdfast::netboot
