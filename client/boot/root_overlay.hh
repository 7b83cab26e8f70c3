// Overlay in memory on top of a root file system, mounted by the initramfs. Use only before the daemon's
// seal.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>

namespace holdfast::client {

// Mounts an overlay on `root`, the mount point of a root file system. Its changes go to a tmpfs of `size`
// (MemoryRoot::overlay), mounted on /run/holdfast/overlay; the file system below is then visible on
// /run/holdfast/lower. Refuses a root file system whose /usr is another one. The error is a complete line;
// then `root` is as before.
[[nodiscard]] std::expected<void, std::string> mount_overlay(const std::string& root,
                                                             const std::string& size);
// Replaces the entry of / in the fstab of a mounted overlay. The error is a complete line.
[[nodiscard]] std::expected<void, std::string> adapt_fstab(const std::string& root);

struct OverlayUse {
    std::uint64_t size = 0;  // bytes
    std::uint64_t used = 0;
};
// Returns the use of the file system that keeps the changes of /; nullopt if / is no overlay.
[[nodiscard]] std::optional<OverlayUse> overlay_use();

}  // namespace holdfast::client
