// Folder of boot files that hosts hand in (boot_file_option.hh): a folder for each export, with files named
// by the SHA-256 of their content, incomplete files NAME.part, and the manifest that was committed last. Runs
// in children of the opener only, since each call waits for a disk; a lock on the export's folder keeps such
// children apart. The files are read by holdfast-netboot, which trusts none of them.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/linux/fd.hh"
#include "common/protocol/boot_file_option.hh"
#include "server/process/packing.hh"
#include "server/process/service_user.hh"

namespace holdfast::server {

struct BootSpool {
    std::string folder;  // contains a folder for each export; created if absent
    std::string export_name;
    std::uint64_t quota = 0;           // bytes
    std::optional<ServiceUser> owner;  // owner of new files and folders; empty: this process
};

// File that a request is about. Packed into OpenerRequest::data.
struct BootFileWanted {
    nbd::Digest sha256{};
    std::uint64_t size = 0;
    std::vector<nbd::Digest> kept{};  // complete files that the next manifest will name; at most most_kept

    static constexpr std::size_t most_kept = 4;

    bool operator==(const BootFileWanted&) const = default;
};
[[nodiscard]] std::string pack(const BootFileWanted& wanted);
[[nodiscard]] std::optional<BootFileWanted> unpack_boot_file(std::string_view data);

enum class BootFaultKind : std::uint8_t { none, invalid, too_big, failed };
struct BootFault {
    BootFaultKind kind = BootFaultKind::failed;
    std::string text;  // for log and client
};

struct BegunBootFile {
    bool complete = false;
    std::uint64_t offset = 0;  // size of the incomplete file
    Fd file;                   // the incomplete file, for reading and writing
};
// A complete file is read: its content may have been damaged. Removes incomplete files of other contents if
// the file is not complete. Frees room for the file if needed and possible, by removing files that neither
// the manifest nor `kept` names. After a failure no incomplete file of this name remains.
[[nodiscard]] std::expected<BegunBootFile, BootFault> begin_boot_file(const BootSpool& spool,
                                                                      const BootFileWanted& wanted);
// Flushes the file before it gets its name. An incomplete file of another size or content is removed.
[[nodiscard]] std::expected<void, BootFault> end_boot_file(const BootSpool& spool,
                                                           const BootFileWanted& wanted);
[[nodiscard]] std::expected<void, BootFault> drop_boot_file(const BootSpool& spool,
                                                            const BootFileWanted& wanted);
// Replaces the manifest; a power cut at any moment leaves the old or the new one. Then removes what the
// manifest does not name, and sets the mark `.committed`. After a failure the manifest may be the new one.
[[nodiscard]] std::expected<void, BootFault> commit_boot_files(const BootSpool& spool,
                                                               std::string_view manifest);
// Returns the text of `published`; empty if there is none.
[[nodiscard]] std::expected<std::string, BootFault> published_boot_files(const BootSpool& spool);

// A fault as an answer of the opener, and the outcome of an answer: nullopt for an invalid one.
void pack(Packer& to, const std::expected<void, BootFault>& outcome);
[[nodiscard]] std::optional<std::expected<void, BootFault>> unpack_boot_outcome(Unpacker& from);

}  // namespace holdfast::server
