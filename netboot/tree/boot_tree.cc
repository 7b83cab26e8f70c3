// State files: .holdfast/tree, .holdfast/loaders, .holdfast/dhcp, and .holdfast/hosts/NAME.

#include "netboot/tree/boot_tree.hh"

#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "common/linux/folder.hh"
#include "common/text/number.hh"
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

// True for a folder of this program: a version, or the rest of an interrupted copy.
bool is_version(std::string_view name) {
    if (name.starts_with("draft-")) name.remove_prefix(6);
    return number_of<unsigned>(name).has_value();
}

// Completes an error with the file that it concerns.
template <class T>
Read<T> at(const std::string& path, Result<T> result) {
    if (!result) return unexpected(fmt::format("{}: {}", path, result.error().message()));
    if constexpr (std::is_void_v<T>)
        return {};
    else
        return std::move(*result);
}

}  // namespace

bool BootTree::exists() const { return ::access(path_of(tree_file).c_str(), F_OK) == 0; }

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
    return {};
}

Read<std::string> BootTree::text_of(const std::string& name) const {
    auto text = at(path_of(name), read_if_there(path_of(name)));
    if (!text) return unexpected(text.error());
    return text->value_or("");
}

Read<TreeState> BootTree::load() const {
    TreeState state;
    const auto text = text_of(tree_file);
    if (!text) return unexpected(text.error());
    auto settings = read_settings(*text);
    if (!settings) return unexpected(fmt::format("{}: {}", path_of(tree_file), settings.error()));
    state.settings = std::move(*settings);
    for (const std::string& name : names_in(path_of(hosts_folder))) {
        const std::string path = hosts_folder + "/" + name;
        const auto host_text = text_of(path);
        if (!host_text) return unexpected(host_text.error());
        auto host = read_host(name, *host_text);
        if (!host) return unexpected(fmt::format("{}: {}", path_of(path), host.error()));
        state.hosts.push_back(std::move(*host));
    }
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

Read<void> BootTree::forget(const Host& host) {
    Host none;
    none.name = host.name;
    if (auto removed = remove_other_kernels(none); !removed) return removed;
    if (auto removed = at(path_of(kernels_of(host)), remove_empty_folder(path_of(kernels_of(host))));
        !removed)
        return removed;
    return at(path_of(state_of(host)), remove_file(path_of(state_of(host))));
}

Read<void> BootTree::apply(const std::vector<Change>& list) {
    for (const Change& change : list) {
        const std::string path = path_of(change.path);
        const auto done = at(path, change.after ? put_file(path, *change.after) : remove_file(path));
        if (!done) return done;
    }
    return {};
}

Read<void> BootTree::add_kernel(const Host& host, const KernelCopy& copy, const std::string& kernel,
                                const std::string& initrd) {
    const std::string final_path = path_of(folder_of(host, copy));
    const std::string draft = path_of(fmt::format("{}/draft-{}", kernels_of(host), copy.version));
    if (auto cleared = at(draft, remove_folder(draft)); !cleared) return cleared;
    if (auto made = at(draft, make_folders(draft)); !made) return made;
    for (const auto& [from, name] : {std::pair{kernel, "/vmlinuz"}, std::pair{initrd, "/initrd.img"}}) {
        const auto copied =
            at(fmt::format("{} to {}", from, draft + name), copy_new_file(from, draft + name));
        if (!copied) {
            (void)remove_folder(draft);
            return copied;
        }
    }
    return at(final_path, rename_folder(draft, final_path));
}

Read<void> BootTree::remove_other_kernels(const Host& host) {
    for (const std::string& name : names_in(path_of(kernels_of(host)))) {
        const std::string path = kernels_of(host) + "/" + name;
        if (!is_version(name)) continue;
        if ((host.kernel && path == folder_of(host, *host.kernel)) ||
            (host.previous && path == folder_of(host, *host.previous)))
            continue;
        if (auto removed = at(path_of(path), remove_folder(path_of(path))); !removed) return removed;
    }
    return {};
}

unsigned BootTree::next_version(const Host& host) const {
    unsigned last = host.kernel ? host.kernel->version : 0;
    for (const std::string& name : names_in(path_of(kernels_of(host))))
        last = std::max(last, number_of<unsigned>(name).value_or(0));
    return last + 1;
}

}  // namespace holdfast::netboot
