// Files of the tree on disk. Each write is complete before its name appears: a draft, fsync(2), rename(2). A
// server that sends the file meanwhile sends the old text or the new one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/linux/fd.hh"
#include "common/linux/result.hh"

namespace holdfast::netboot {

// Largest file that is read whole: loaders and texts.
inline constexpr std::size_t largest_file = 64U << 20;

// The folder of a file: "." for a name without one.
[[nodiscard]] std::string folder_above(const std::string& path);

// Whether there is a file or folder of this name. A name that cannot be looked up is an error, not an
// absence.
[[nodiscard]] Result<bool> is_there(const std::string& path);
// Names in a folder without the hidden ones, sorted; empty if there is no folder.
[[nodiscard]] Result<std::vector<std::string>> list_folder(const std::string& path);
// Text of the file; nullopt if there is none.
[[nodiscard]] Result<std::optional<std::string>> read_if_there(const std::string& path);
// At most `most` bytes from the start of a regular file.
[[nodiscard]] Result<std::string> read_start(const std::string& path, std::size_t most);

// Makes the folder, and the folders above it, with mode 755 as far as they are missing.
[[nodiscard]] Result<void> make_folders(const std::string& path);
// Writes or replaces a file, mode 644; makes its folder.
[[nodiscard]] Result<void> put_file(const std::string& path, std::string_view text);
// Copies a file of any size into a new one, mode 644, and waits until the copy is on stable storage.
[[nodiscard]] Result<void> copy_new_file(const std::string& from, const std::string& to);
// Copies an open file of exactly this size and SHA-256, as hexadecimal digits, into a new file like that; no
// more is read. EBADMSG: size or sum differ.
[[nodiscard]] Result<void> copy_known_file(int from, const std::string& to, std::uint64_t size,
                                           std::string_view sum);
// SHA-256 of a regular file as hexadecimal digits.
[[nodiscard]] Result<std::string> sum_of_file(const std::string& path);
// Makes the folder, which only this user can enter until rename_folder(); removes an old one.
[[nodiscard]] Result<void> make_draft_folder(const std::string& path);
// Writes a folder's changes to stable storage.
[[nodiscard]] Result<void> sync_folder(const std::string& path);
// Removes the drafts that interrupted writes have left in a folder; success if there is no folder.
[[nodiscard]] Result<void> remove_drafts(const std::string& folder);
// Removes a file; success if there is none.
[[nodiscard]] Result<void> remove_file(const std::string& path);
// Removes a folder with the files in it, but no folder in it; success if there is none.
[[nodiscard]] Result<void> remove_folder(const std::string& path);
// Removes a folder; success if there is none, or if there is anything in it.
[[nodiscard]] Result<void> remove_empty_folder(const std::string& path);
// Moves a folder to its name, and stores the change of the folder above.
[[nodiscard]] Result<void> rename_folder(const std::string& from, const std::string& to);

// Waits until no other process of this program changes the tree. The lock ends with the descriptor.
[[nodiscard]] Result<Fd> lock_tree(const std::string& file);

}  // namespace holdfast::netboot
