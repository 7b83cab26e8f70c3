// Volumes of sessions (copyonwrite): removes those that nobody has used for longer than they are kept. A
// volume that is open is never removed, nor one without the tags of holdfast-provision.
//
// Nothing says when a client was lost, so that each sweep notes in a tag since when a volume is not open. A
// client that came and went between two sweeps has left its mark in the device's counters of I/O.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/golden/created_export.hh"
#include "provision/lvm.hh"
#include "provision/volume_locks.hh"

namespace holdfast::provision {

inline constexpr std::string_view session_tag = "holdfast.session=";  // word of HostKind::session
inline constexpr std::string_view idle_tag = "holdfast.idle=";        // SECONDS.USE, see IdleSince

// Since when a volume was not seen open, and the device's use until then. Counted from the boot of the
// machine: a calendar that is set right must not end sessions. After a reboot, a volume that was noted later
// than the present time is noted anew; one that was noted earlier has been idle for longer than the clock
// says.
struct IdleSince {
    std::chrono::seconds since{};
    std::uint64_t use = 0;  // equal as long as nobody reads or writes the device

    bool operator==(const IdleSince&) const = default;
};
[[nodiscard]] std::string to_tag(const IdleSince& idle);
[[nodiscard]] std::chrono::seconds since_boot();
// Reads the value of an idle_tag; nullopt: not what to_tag() writes.
[[nodiscard]] std::optional<IdleSince> idle_by_tags(const std::vector<std::string>& tags);

// A volume that was made for a session.
struct SessionVolume {
    std::string export_name;  // encoded_word() of it
    std::string session;
};
// nullopt: not the volume of a session.
[[nodiscard]] std::optional<SessionVolume> session_by_tags(const std::vector<std::string>& tags);

class SessionSweep {
public:
    using Time = std::chrono::seconds;  // since_boot()
    // Use of the device of a volume, see IdleSince.
    using Use = std::function<Outcome<std::uint64_t>(const std::string& device)>;

    // The references must outlive this object.
    SessionSweep(const Lvm& lvm, const VolumeLocks& locks, Use use)
        : lvm_(lvm), locks_(locks), use_(std::move(use)) {}

    struct Swept {
        std::vector<std::string> removed;  // "GROUP/VOLUME"
        std::vector<std::string> errors;
    };
    // Sweeps the groups of the exports by_session(). The volume of an export that is no longer configured is
    // kept for the default time.
    [[nodiscard]] Swept sweep(const std::vector<CreatedExport>& exports, Time now, bool only_say) const;
    // Sweeps only the volumes of this export.
    [[nodiscard]] Swept sweep_export(const CreatedExport& config, Time now) const;

private:
    // How long the volume of a session is kept; nullopt: for ever.
    using Keep = std::function<std::optional<std::chrono::seconds>(const SessionVolume&)>;

    void sweep_group(const std::string& group, const Keep& keep, Time now, bool only_say, Swept& swept) const;
    void sweep_volume(const std::string& full, const LvmVolume& volume, std::chrono::seconds keep, Time now,
                      bool only_say, Swept& swept) const;
    // Returns whether the volume has been idle for longer than it is kept; else notes what was seen.
    [[nodiscard]] Outcome<bool> is_over(const std::string& full, const LvmVolume& volume,
                                        std::chrono::seconds keep, Time now, bool only_say) const;
    [[nodiscard]] Outcome<> note(const std::string& full, const LvmVolume& volume,
                                 const std::optional<IdleSince>& idle) const;

    const Lvm& lvm_;
    const VolumeLocks& locks_;
    Use use_;
};

// Sum over the counters of reads and writes of a block device; for a file the time of its last change; 0 for
// a volume that is not active, which nobody can use.
[[nodiscard]] Outcome<std::uint64_t> use_of_device(const std::string& path);

}  // namespace holdfast::provision
