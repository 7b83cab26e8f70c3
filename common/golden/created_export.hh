// Exports whose volumes are created for their hosts or sessions: the keys `create`, `copyonwrite`,
// `copyonwritekeep`, `createlimit`, `createmaxsize` and `createclients` of a section. Pure. The server and
// holdfast-provision both read them here, so that a mistake which one of them refuses is refused by the
// other, too.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/access/access.hh"
#include "common/golden/volume_name.hh"
#include "common/text/ini.hh"

namespace holdfast {

// Value of `create`.
struct CreateRule {
    enum class Kind : std::uint8_t { snapshot, copy, empty };
    Kind kind = Kind::snapshot;
    std::string origin_group;  // group of the golden volume; empty for Kind::empty
    std::string origin;
    std::uint64_t size = 0;  // bytes; valid only for Kind::empty
    std::string pool;        // thin pool for Kind::empty; empty: a volume of its own extents

    bool operator==(const CreateRule&) const = default;
};

// Parses "snapshot of GROUP/VOLUME", "copy of GROUP/VOLUME", "empty 20G", "empty 20G in GROUP/POOL". `group`
// is the group of the new volumes.
[[nodiscard]] std::expected<CreateRule, std::string> parse_create_rule(std::string_view text,
                                                                       std::string_view group);

struct CreatedExport {
    std::string name;
    FilePosition position;
    VolumePattern pattern;
    NamePattern names;  // valid unless pattern.by is HostKind::address
    CreateRule rule;
    std::uint32_t limit = 0;       // most volumes of this export, unfinished ones included
    std::uint64_t largest = 0;     // bytes of a volume; 0: no limit
    std::vector<Network> clients;  // empty: all that the authfile admits
    std::string authfile;          // empty: none
    // Time for which the volume of a lost session is kept; valid only if by_session().
    std::chrono::seconds keep = default_keep;

    static constexpr std::chrono::seconds default_keep = std::chrono::days(1);

    // Whether each session has a volume of its own, a snapshot of exportname's (copyonwrite).
    [[nodiscard]] bool by_session() const { return pattern.by == HostKind::session; }
    // Whether the section stands for many exports, each with the name of a host.
    [[nodiscard]] bool by_name() const { return pattern.by == HostKind::name || pattern.by == HostKind::mac; }
};

struct CreatedExportReading {
    std::optional<CreatedExport> made;  // empty: neither `create` nor `copyonwrite`, or a mistake
    std::vector<Remark> errors;
    std::vector<Remark> warnings;
};
// Explains why a volume of this size exceeds createmaxsize; empty: it does not.
[[nodiscard]] std::string why_too_large(const CreatedExport& config, std::uint64_t size);

// Reads the keys of an export's section. Of equal keys the last counts.
[[nodiscard]] CreatedExportReading read_created_export(const IniSection& section);

// Mistakes between the exports: patterns that could give two exports the same volume or name, or a host the
// golden volume.
[[nodiscard]] std::vector<Remark> conflicts_of(const std::vector<const CreatedExport*>& exports);

// Explains why no volume may be created for the host, a numeric address or "unix"; empty: it may. The
// authfile is the caller's affair.
[[nodiscard]] std::string why_not_for(const CreatedExport& config, std::string_view host);

}  // namespace holdfast
