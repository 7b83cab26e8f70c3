// HF 2, `boot_files` (0x48460002): Holdfast's private option by which a host hands its kernel, initramfs and
// Xen to the server of its root disk. Sent on a connection of its own, before GO, any number of times. The
// option's data begins with a command, u8; integers are big-endian:
//   1 begin   16 bytes session UUID, u32 length of name, export name, 32 bytes SHA-256, u64 size
//             -> reply of type 0x48460002: u8 state (0: send from `offset` on; 1: the server has the file),
//             u64 offset; then ACK
//   2 piece   u64 offset, 1 to 65536 bytes -> ACK. The pieces of a file come in order, without a gap.
//   3 end     nothing; the file is complete: the server compares size and SHA-256, and flushes -> ACK, or
//             ERR_INVALID, and what came is removed
//   4 commit  16 bytes session UUID, u32 length of name, export name, manifest (boot_manifest.hh) -> ACK once
//             the manifest and all files that it names are on stable storage
//   5 status  16 bytes session UUID, u32 length of name, export name -> reply of type 0x48460002: the text
//             `published` (boot_manifest.hh), empty if there is none; then ACK
// Errors: ERR_INVALID malformed, or in a wrong order; ERR_POLICY not allowed (also for unknown exports): the
// export takes no boot files; 0xc8460002 no connection of that session uses the export for writing, so the
// client should try again once its device has reconnected (ERR_POLICY from older servers); ERR_TOO_BIG over
// the quota; ERR_PLATFORM a failure of the server, such as a full disk; ERR_UNSUP a server without this
// option. After ERR_TOO_BIG and ERR_PLATFORM for a piece, what came of the file is removed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "common/protocol/constants.hh"
#include "common/protocol/uuid.hh"

namespace holdfast::nbd {

using Digest = std::array<std::uint8_t, 32>;  // SHA-256

inline constexpr std::size_t longest_boot_piece = 64 << 10;
inline constexpr std::size_t longest_boot_manifest = 4096;
inline constexpr std::size_t longest_boot_published = 4096;
inline constexpr std::uint64_t largest_boot_file = 512ULL << 20;
// Sizes of the longest option data, without the option's head: of a piece, and of every other command, the
// longest of which is a commit.
inline constexpr std::size_t longest_boot_file_option = 1 + 8 + longest_boot_piece;
inline constexpr std::size_t longest_boot_command =
    1 + sizeof(Uuid) + 4 + longest_string + longest_boot_manifest;

// The commands. All views point into the decoded bytes.
struct BootFileBegin {
    Uuid session{};
    std::string_view export_name;
    Digest sha256{};
    std::uint64_t size = 0;  // 1 to largest_boot_file
};
struct BootFilePiece {
    std::uint64_t offset = 0;
    std::span<const std::uint8_t> bytes;
};
struct BootFileEnd {};
struct BootFileCommit {
    Uuid session{};
    std::string_view export_name;
    std::string_view manifest;
};
struct BootFileStatus {
    Uuid session{};
    std::string_view export_name;
};
using BootFileRequest =
    std::variant<BootFileBegin, BootFilePiece, BootFileEnd, BootFileCommit, BootFileStatus>;

// Answer to `begin`.
struct BootFileState {
    bool complete = false;     // the server has the file
    std::uint64_t offset = 0;  // bytes that the server has, from the beginning of the file

    bool operator==(const BootFileState&) const = default;
};

// Encode and decode the option's data and the answer to `begin`, without their heads. Decoding returns
// nullopt unless the bytes are exactly one command that encode() could make: names up to longest_string
// without a NUL, sizes and texts within the limits above.
[[nodiscard]] std::vector<std::uint8_t> encode(const BootFileRequest& request);
[[nodiscard]] std::optional<BootFileRequest> decode_boot_file_request(
    std::span<const std::uint8_t> data) noexcept;
[[nodiscard]] std::vector<std::uint8_t> encode(const BootFileState& state);
[[nodiscard]] std::optional<BootFileState> decode_boot_file_state(
    std::span<const std::uint8_t> data) noexcept;

}  // namespace holdfast::nbd
