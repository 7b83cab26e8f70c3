// Mounts by mount(2), because the mount program of an initramfs reports no reason.

#include "client/boot/root_overlay.hh"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <utility>

#include <fmt/core.h>

#include "client/boot/memory_root.hh"
#include "client/control/run_directory.hh"
#include "common/linux/fd.hh"
#include "common/linux/result.hh"
#include "common/linux/text_file.hh"

namespace holdfast::client {
namespace {

using Outcome = std::expected<void, std::string>;

constexpr std::size_t largest_file = 1U << 20;

std::unexpected<std::string> failed(std::string_view thing, const char* call, std::string_view remedy = "") {
    return std::unexpected{
        fmt::format("holdfast.overlay: {}: {}{}", thing, SysError{errno, call}.message(), remedy)};
}

struct OverlayFolders {
    std::string root;
    std::string lower = fmt::format("{}/lower", run_directory);
    std::string memory = fmt::format("{}/overlay", run_directory);
    std::string upper = memory + "/upper";
    std::string work = memory + "/work";
};

// Gives the upper folder the mode and the owner of the root folder, which are those of the overlay.
Outcome make_upper(const OverlayFolders& folders) {
    struct stat root {};
    if (::stat(folders.root.c_str(), &root) != 0) return failed(folders.root, "stat");
    if (::mkdir(folders.upper.c_str(), 0755) != 0) return failed(folders.upper, "mkdir");
    if (::mkdir(folders.work.c_str(), 0755) != 0) return failed(folders.work, "mkdir");
    if (::chown(folders.upper.c_str(), root.st_uid, root.st_gid) != 0 ||
        ::chmod(folders.upper.c_str(), root.st_mode & 07777) != 0)
        return failed(folders.upper, "chmod");
    return {};
}

Outcome mount_memory(const OverlayFolders& folders, const std::string& size) {
    for (const std::string& folder : {folders.lower, folders.memory})
        if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) return failed(folder, "mkdir");
    if (::mount("holdfast-overlay", folders.memory.c_str(), "tmpfs", 0,
                fmt::format("mode=0755,size={}", size).c_str()) != 0)
        return failed(folders.memory, "mount");
    return make_upper(folders);
}

// Returns whether the file system was moved; with systemd in the initramfs, mounts are shared, and can only
// be mounted a second time.
std::expected<bool, std::string> show_lower(const OverlayFolders& folders) {
    if (::mount(folders.root.c_str(), folders.lower.c_str(), nullptr, MS_MOVE, nullptr) == 0) return true;
    if (::mount(folders.root.c_str(), folders.lower.c_str(), nullptr, MS_BIND, nullptr) == 0) return false;
    return failed(folders.root, "mount");
}

Outcome mount_on_root(const OverlayFolders& folders) {
    const std::string options =
        fmt::format("lowerdir={},upperdir={},workdir={}", folders.lower, folders.upper, folders.work);
    const auto moved = show_lower(folders);
    if (!moved) return std::unexpected{moved.error()};
    if (::mount("overlay", folders.root.c_str(), "overlay", 0, options.c_str()) == 0) return {};
    auto problem = failed(folders.root, "mount",
                          errno == ENODEV ? "; create the initramfs again, it lacks the kernel module overlay"
                                          : "; see the kernel's messages");
    if (*moved)
        ::mount(folders.lower.c_str(), folders.root.c_str(), nullptr, MS_MOVE, nullptr);
    else
        ::umount2(folders.lower.c_str(), MNT_DETACH);
    return problem;
}

// The overlay would hide the other file system, and the machine would find no init.
Outcome check_usr(const std::string& root) {
    struct stat whole {};
    struct stat part {};
    const std::string usr = root + "/usr";
    if (::stat(root.c_str(), &whole) != 0) return failed(root, "stat");
    if (::stat(usr.c_str(), &part) != 0 || part.st_dev == whole.st_dev) return {};
    return std::unexpected{
        "holdfast.overlay: /usr is a file system of its own, which the overlay would hide; put it on the "
        "root "
        "file system, or boot without holdfast.overlay="};
}

}  // namespace

std::expected<void, std::string> mount_overlay(const std::string& root, const std::string& size) {
    const OverlayFolders folders{.root = root};
    if (auto whole = check_usr(root); !whole) return whole;
    auto mounted = mount_memory(folders, size);
    if (mounted) mounted = mount_on_root(folders);
    if (mounted) return {};
    ::umount2(folders.memory.c_str(), MNT_DETACH);
    return mounted;
}

std::expected<void, std::string> adapt_fstab(const std::string& root) {
    const std::string path = root + "/etc/fstab";
    const auto old = read_text_file(path, largest_file);
    if (!old) return {};
    const std::string text = fstab_for_overlay(*old);
    if (text == *old) return {};
    const Fd file(::open(path.c_str(), O_WRONLY | O_TRUNC | O_NOFOLLOW | O_CLOEXEC));
    if (!file) return failed(path, "open");
    if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        return failed(path, "write");
    return {};
}

std::optional<OverlayUse> overlay_use() {
    struct statfs root {};
    if (::statfs("/", &root) != 0 || root.f_type != OVERLAYFS_SUPER_MAGIC) return std::nullopt;
    const auto unit = static_cast<std::uint64_t>(root.f_bsize);
    return OverlayUse{root.f_blocks * unit, (root.f_blocks - root.f_bfree) * unit};
}

}  // namespace holdfast::client
