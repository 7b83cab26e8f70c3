// Texts about a host's boot files: the manifest, which a host commits (boot_file_option.hh), and `published`,
// which tells the host what its next boot gets. Lines, each ending with a newline:
//   holdfast-boot-files 1
//   kernel VERSION SHA256 SIZE
//   initrd VERSION SHA256 SIZE
//   xen VERSION SHA256 SIZE        (optional)
// and
//   holdfast-boot-published 1
//   manifest SHA256                (of the manifest's bytes)
//   next VERSION SHA256-OF-KERNEL SHA256-OF-INITRD   (optional)
//   previous VERSION               (optional)
//   refused TEXT                   (optional)
// Pure.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "common/protocol/boot_file_option.hh"

namespace holdfast::nbd {

struct BootFile {
    std::string version;  // see is_boot_version()
    Digest sha256{};
    std::uint64_t size = 0;  // 1 to largest_boot_file

    bool operator==(const BootFile&) const = default;
};

struct BootManifest {
    BootFile kernel;
    BootFile initrd;
    std::optional<BootFile> xen;

    bool operator==(const BootManifest&) const = default;
};

// 1 to 64 characters of A-Z a-z 0-9 . _ + ~ -, of which the first is neither '.' nor '-'.
[[nodiscard]] bool is_boot_version(std::string_view word) noexcept;

[[nodiscard]] std::string to_text(const BootManifest& manifest);
// The error names the wrong line.
[[nodiscard]] std::expected<BootManifest, std::string> read_boot_manifest(std::string_view text);

struct BootPublished {
    struct Next {
        std::string version;
        Digest kernel{};
        Digest initrd{};

        bool operator==(const Next&) const = default;
    };
    Digest manifest{};  // manifest to which this answers
    std::optional<Next> next;
    std::string previous;  // version; empty: none
    std::string refused;   // printable; empty: the manifest was not refused

    bool operator==(const BootPublished&) const = default;
};

[[nodiscard]] std::expected<BootPublished, std::string> read_boot_published(std::string_view text);

// Name of an export's folder in the spool: each byte outside A-Z a-z 0-9 . _ -, and a leading '.', as %XX.
[[nodiscard]] std::string boot_folder_name(std::string_view export_name);

}  // namespace holdfast::nbd
