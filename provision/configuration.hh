// Reads the server's configuration files, of which only the exports with `create` matter here.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "common/golden/created_export.hh"
#include "provision/snapshot_maker.hh"

namespace holdfast::provision {

struct FoundExport {
    CreatedExport config;
    std::string word;  // host in the name; empty: the name is that of the section
};
// The export's configuration of this moment: that of the section of this name, or of the section whose
// pattern the name matches. Refuses if any file is unreadable, or any export with `create` has a mistake:
// another reading than the server's must not decide on a volume.
[[nodiscard]] std::expected<FoundExport, std::string> find_export(const std::string& main_file,
                                                                  std::string_view name);

// Word of the volume's name for a request about the export. A client names its host in the export's name, and
// the administrator (`by_root`) beside the section's name. `session`: word of a client's session. The error
// says what is wrong with the request.
[[nodiscard]] std::expected<std::string, std::string> word_of(const FoundExport& found, std::string_view host,
                                                              std::string_view session, bool by_root);

// All exports whose volumes are created; refuses like find_export().
[[nodiscard]] std::expected<std::vector<CreatedExport>, std::string> created_exports(
    const std::string& main_file);

// The volume of the export, for snapshots. `host`: empty if all clients have one volume.
[[nodiscard]] std::expected<SnapshotTarget, std::string> find_snapshot_target(const std::string& main_file,
                                                                              const std::string& name,
                                                                              const std::string& host);

// Explains why the host may have no volume, by createclients and the authfile; empty: it may.
[[nodiscard]] std::string refusal_of(const CreatedExport& config, std::string_view host);

// The user of the server by `user` in [generic], or by default.
[[nodiscard]] std::string server_user(const std::string& main_file);

}  // namespace holdfast::provision
