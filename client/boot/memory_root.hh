// Words of the kernel command line that keep changes of the root file system, or the whole disk, in memory:
// holdfast.overlay=RAM[,size=SIZE] and holdfast.toram; and the texts that these two need. Pure; use only
// before the daemon's seal.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/boot/boot_error.hh"

namespace holdfast::client {

struct MemoryRoot {
    // Size limit of the overlay's tmpfs, in the form of tmpfs(5): "512m", "50%"; empty: no overlay.
    std::optional<std::string> overlay = {};
    bool to_ram = false;  // copy the disk to memory, and detach it

    bool operator==(const MemoryRoot&) const = default;
    // True if the export must not be written to.
    [[nodiscard]] bool needs_read_only() const noexcept { return overlay.has_value() || to_ram; }
};

// Reads both words; the last occurrence of each counts.
[[nodiscard]] std::expected<MemoryRoot, BootError> read_memory_root(std::string_view command_line);

// Returns a line for each choice: "changes stay in memory (...)".
[[nodiscard]] std::vector<std::string> describe(const MemoryRoot& memory);

// Returns the text of fstab with an entry for the overlay in the place of the entry for /, whose options the
// overlay would refuse; the old entry stays as a comment.
[[nodiscard]] std::string fstab_for_overlay(std::string_view fstab);

// Returns the bytes of MemAvailable in the text of /proc/meminfo; 0 if missing.
[[nodiscard]] std::uint64_t available_memory(std::string_view meminfo);

// Returns the reason why a disk of `size` bytes cannot be copied to memory; empty if it can.
[[nodiscard]] std::string reason_not_to_copy(std::uint64_t size, std::uint64_t available);

// Returns root= for the copy of disk `from` ("nbd0") on disk `to` ("loop0"): "/dev/nbd0p1" becomes
// "/dev/loop0p1". A root that does not name `from` stays as it is.
[[nodiscard]] std::string root_on_copy(std::string_view root, std::string_view from, std::string_view to);

// Returns "[=====     ] 50% of 1.0 GiB", of constant length for a size.
[[nodiscard]] std::string progress_bar(std::uint64_t done, std::uint64_t size);

}  // namespace holdfast::client
