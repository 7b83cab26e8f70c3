// State files: .holdfast/tree, .holdfast/loaders, .holdfast/dhcp, and .holdfast/hosts/NAME.

#include "netboot/tree/boot_tree.hh"

#include <fmt/core.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "common/text/number.hh"
#include "netboot/loader/loader_files.hh"
#include "netboot/loader/named_files.hh"
#include "netboot/tree/tree_files.hh"

namespace holdfast::netboot {
namespace {

using std::unexpected;

const std::string tree_file = ".holdfast/tree";
const std::string loaders_file = ".holdfast/loaders";
const std::string dhcp_file = ".holdfast/dhcp";
const std::string hosts_folder = ".holdfast/hosts";

std::string state_of(const Host& host) { return hosts_folder + "/" + host.name; }
std::string kernels_of(const Host& host) { return "hosts/" + host.name; }

// Completes an error with the file that it concerns.
template <class T>
Read<T> at(const std::string& path, Result<T> result) {
    if (!result) return unexpected(fmt::format("{}: {}", path, result.error().message()));
    if constexpr (std::is_void_v<T>)
        return {};
    else
        return std::move(*result);
}

void take_text(LoaderTexts& loaded, const std::string& name, const std::string& path) {
    auto text = read_if_there(path);
    if (text && *text) loaded.texts[name] = std::move(**text);
    // Folders, and what is too large for a text, are no business of ours.
    if (text || text.error().code == EISDIR || text.error().code == EFBIG) return;
    // A link to itself; a FIFO or a device; a socket.
    const int code = text.error().code;
    const bool is_file = code != ELOOP && code != EINVAL && code != ENXIO;
    (is_file ? loaded.errors : loaded.no_files)
        .push_back(fmt::format("{}: {}", path, text.error().message()));
}

}  // namespace

bool is_version(std::string_view name) {
    if (name.starts_with("draft-")) name.remove_prefix(6);
    return number_of<unsigned>(name).has_value();
}

std::string file_naming(const Texts& texts, const std::string& folder) {
    constexpr std::string_view longer_name =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
    for (const auto& [path, text] : texts)
        for (std::size_t at = 0; (at = text.find(folder, at)) != std::string::npos;) {
            at += folder.size();
            if (at == text.size() || !longer_name.contains(text[at])) return path;
        }
    return "";
}

Read<bool> BootTree::exists() const { return at(path_of(tree_file), is_there(path_of(tree_file))); }

Read<void> BootTree::create() {
    for (const std::string& name : {std::string("hosts"), std::string("pxelinux.cfg"), std::string("grub"),
                                    std::string("ipxe"), hosts_folder})
        if (auto made = at(path_of(name), make_folders(path_of(name))); !made) return made;
    // The state is no business of machines that boot.
    if (::chmod(path_of(".holdfast").c_str(), 0700) != 0)
        return at(path_of(".holdfast"), Result<void>(sys_error("chmod")));
    return {};
}

Read<void> BootTree::lock() {
    const std::string path = path_of(".holdfast/lock");
    auto locked = at(path, lock_tree(path));
    if (!locked) return unexpected(locked.error());
    lock_ = std::move(*locked);
    std::set<std::string> folders{"pxelinux.cfg", "grub", "ipxe", ".holdfast", ".holdfast/hosts", "."};
    for (const LoaderFile& file : loader_files) folders.insert(folder_above(std::string(file.name)));
    for (const std::string& name : folders)
        if (auto cleaned = at(path_of(name), remove_drafts(path_of(name))); !cleaned) return cleaned;
    // Files for DHCP servers are outside of the tree: a folder that is closed to this user has no draft of
    // this program.
    if (const auto files = load_dhcp_files())
        for (const auto& [file, sums] : *files) (void)remove_drafts(folder_above(file));
    return {};
}

Read<std::string> BootTree::text_of(const std::string& name) const {
    auto text = at(path_of(name), read_if_there(path_of(name)));
    if (!text) return unexpected(text.error());
    return text->value_or("");
}

Read<TreeState> BootTree::load_settings() const {
    TreeState state;
    const auto stored = exists();
    if (!stored) return unexpected(stored.error());
    state.is_stored = *stored;
    const auto text = text_of(tree_file);
    if (!text) return unexpected(text.error());
    auto settings = read_settings(*text);
    if (!settings) return unexpected(fmt::format("{}: {}", path_of(tree_file), settings.error()));
    state.settings = std::move(*settings);
    return state;
}

Read<void> BootTree::load_host(TreeState& state, const std::string& name) const {
    const std::string path = hosts_folder + "/" + name;
    const auto text = text_of(path);
    if (!text) return unexpected(text.error());
    auto host = read_host(name, *text);
    if (!host) return unexpected(fmt::format("{}: {}", path_of(path), host.error()));
    state.hosts.push_back(std::move(*host));
    return {};
}

Read<TreeState> BootTree::load() const {
    auto state = load_settings();
    if (!state) return state;
    const auto names = at(path_of(hosts_folder), list_folder(path_of(hosts_folder)));
    if (!names) return unexpected(names.error());
    for (const std::string& name : *names)
        if (auto loaded = load_host(*state, name); !loaded) return unexpected(loaded.error());
    return state;
}

Read<TreeState> BootTree::load(const std::string& host) const {
    auto state = load_settings();
    if (!state) return state;
    const std::string path = path_of(hosts_folder + "/" + host);
    const auto there = at(path, is_there(path));
    if (!there) return unexpected(there.error());
    if (*there)
        if (auto loaded = load_host(*state, host); !loaded) return unexpected(loaded.error());
    return state;
}

Read<Sums> BootTree::load_sums(const std::string& name) const {
    const auto text = text_of(name);
    if (!text) return unexpected(text.error());
    auto settings = read_settings(*text);
    if (!settings) return unexpected(fmt::format("{}: {}", path_of(name), settings.error()));
    return std::move(settings->sums);
}

Read<Sums> BootTree::load_loaders() const { return load_sums(loaders_file); }
Read<Sums> BootTree::load_dhcp_files() const { return load_sums(dhcp_file); }

Read<Texts> BootTree::read(const Sums& recorded, const Texts& wanted) const {
    Texts texts;
    for (const auto& [path, sums] : united(recorded, sums_of(wanted))) {
        auto text = at(path_of(path), read_if_there(path_of(path)));
        if (!text) return unexpected(text.error());
        if (*text) texts[path] = std::move(**text);
    }
    return texts;
}

Read<void> BootTree::store(const TreeSettings& settings) {
    return at(path_of(tree_file), put_file(path_of(tree_file), to_text(settings)));
}

Read<void> BootTree::store(const Host& host) {
    return at(path_of(state_of(host)), put_file(path_of(state_of(host)), to_text(host)));
}

Read<void> BootTree::store_sums(const std::string& name, const Sums& sums) {
    return at(path_of(name), put_file(path_of(name), to_text(TreeSettings{"", "", sums})));
}

Read<void> BootTree::store_loaders(const Sums& sums) { return store_sums(loaders_file, sums); }
Read<void> BootTree::store_dhcp_files(const Sums& sums) { return store_sums(dhcp_file, sums); }

Read<OldKernels> BootTree::forget(const Host& host, const Texts& texts) {
    Host none;
    none.name = host.name;
    auto old = remove_other_kernels(none, texts);
    if (auto removed = at(path_of(kernels_of(host)), remove_empty_folder(path_of(kernels_of(host))));
        !removed)
        old.notes.push_back(removed.error());
    if (auto removed = at(path_of(state_of(host)), remove_file(path_of(state_of(host)))); !removed)
        return unexpected(removed.error());
    return old;
}

Read<void> BootTree::apply(const std::vector<Change>& list) {
    for (const Change& change : list) {
        const std::string path = path_of(change.path);
        const auto done = at(path, change.after ? put_file(path, *change.after) : remove_file(path));
        if (!done) return done;
    }
    return {};
}

std::string BootTree::draft_of(const Host& host, const KernelCopy& copy) const {
    return path_of(fmt::format("{}/draft-{}", kernels_of(host), copy.version));
}

Read<std::string> BootTree::begin_kernel(const Host& host, const KernelCopy& copy) {
    std::string draft = draft_of(host, copy);
    if (auto made = at(draft, make_draft_folder(draft)); !made) return unexpected(made.error());
    return draft;
}

Read<void> BootTree::finish_kernel(const Host& host, const KernelCopy& copy) {
    const std::string final_path = path_of(folder_of(host, copy));
    return at(final_path, rename_folder(draft_of(host, copy), final_path));
}

void BootTree::drop_kernel(const Host& host, const KernelCopy& copy) {
    (void)remove_folder(draft_of(host, copy));
}

Read<void> BootTree::add_kernel(const Host& host, const KernelCopy& copy,
                                const std::vector<std::string>& sources) {
    const auto draft = begin_kernel(host, copy);
    if (!draft) return unexpected(draft.error());
    const std::vector<std::string> names = files_in(copy);
    for (std::size_t i = 0; i < names.size(); ++i) {
        const std::string to = *draft + names[i];
        const auto copied = at(fmt::format("{} to {}", sources[i], to), copy_new_file(sources[i], to));
        if (!copied) {
            drop_kernel(host, copy);
            return copied;
        }
    }
    return finish_kernel(host, copy);
}

Read<std::vector<std::string>> BootTree::versions_of(const Host& host) const {
    return at(path_of(kernels_of(host)), list_folder(path_of(kernels_of(host))));
}

Read<bool> BootTree::is_whole(const Host& host, const KernelCopy& copy) const {
    for (const std::string& name : files_in(copy)) {
        const std::string path = path_of(folder_of(host, copy) + name);
        struct stat status {};
        if (::stat(path.c_str(), &status) != 0) {
            if (errno == ENOENT) return false;
            return at<bool>(path, sys_error("stat"));
        }
        if (!S_ISREG(status.st_mode) || status.st_size == 0) return false;
    }
    return true;
}

LoaderTexts BootTree::load_loader_texts() const {
    LoaderTexts loaded;
    std::vector<std::string> paths{"boot.ipxe"};
    for (const std::string_view folder : loader_folders) {
        const std::string name(folder);
        const auto names = at(path_of(name), list_folder(path_of(name)));
        if (!names) loaded.errors.push_back(names.error());
        for (const std::string& file : names.value_or(std::vector<std::string>()))
            if (std::string path = fmt::format("{}/{}", name, file); is_loader_text(path))
                paths.push_back(std::move(path));
    }
    for (const std::string& path : paths) take_text(loaded, path, path_of(path));
    return loaded;
}

OldKernels BootTree::remove_other_kernels(const Host& host, const Texts& texts) {
    const auto names = versions_of(host);
    if (!names) return {{}, {names.error()}};
    OldKernels old;
    for (const std::string& name : *names) {
        const std::string path = kernels_of(host) + "/" + name;
        if (!is_version(name)) continue;
        if ((host.kernel && path == folder_of(host, *host.kernel)) ||
            (host.previous && path == folder_of(host, *host.previous)))
            continue;
        if (const std::string file = file_naming(texts, path); !file.empty()) {
            old.notes.push_back(
                fmt::format("{}: kept, because {}, which was edited by hand, names it", path, file));
            continue;
        }
        if (auto removed = at(path_of(path), remove_folder(path_of(path))); !removed)
            old.notes.push_back(fmt::format("{}; remove the folder by hand", removed.error()));
        else
            old.removed.push_back(path);
    }
    return old;
}

Read<unsigned> BootTree::next_version(const Host& host) const {
    const auto names = versions_of(host);
    if (!names) return unexpected(names.error());
    unsigned last = host.kernel ? host.kernel->version : 0;
    for (const std::string& name : *names) last = std::max(last, number_of<unsigned>(name).value_or(0));
    return last + 1;
}

}  // namespace holdfast::netboot
