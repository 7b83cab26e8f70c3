// The folder in which holdfast-server leaves the boot files of hosts (common/protocol/boot_manifest.hh). Its
// owner is not trusted: no link is followed, only regular files are read, each with a limit, and this program
// never writes but into a file that it has made.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/linux/fd.hh"
#include "common/linux/result.hh"

namespace holdfast::netboot {

class Spool {
public:
    explicit Spool(std::string folder) : folder_(std::move(folder)) {}

    [[nodiscard]] const std::string& folder() const { return folder_; }
    // Turns the mark of new manifests into that of work in progress: a manifest that comes later sets the
    // first again. Success if there is none.
    [[nodiscard]] Result<void> take_mark() const;
    // The end of the work: removes its mark; or makes it, if absent, so that a later run repeats the work.
    [[nodiscard]] Result<void> remove_mark() const;
    [[nodiscard]] Result<void> keep_mark() const;
    // The manifest of an export; nullopt if there is none.
    [[nodiscard]] Result<std::optional<std::string>> manifest(std::string_view export_name) const;
    // Copies the file with this SHA-256 and size into a new file. ENOENT if there is none; EBADMSG if size or
    // sum differ.
    [[nodiscard]] Result<void> copy(std::string_view export_name, const std::string& sum, std::uint64_t size,
                                    const std::string& to) const;
    // True if the file `published` has this text.
    [[nodiscard]] bool has_published(std::string_view export_name, std::string_view text) const;
    // Writes the file `published`, unless it has this text.
    [[nodiscard]] Result<void> publish(std::string_view export_name, std::string_view text) const;

private:
    [[nodiscard]] Result<Fd> open_folder(std::string_view export_name) const;

    std::string folder_;
};

}  // namespace holdfast::netboot
