// Takes, restores and removes snapshots of an export's volume. May be ended at any moment: the next request
// for the volume finishes a restore that was interrupted. Only thin volumes have snapshots here, because
// LVM's older snapshots need space of their own, and a kernel module that the confined unit cannot load.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "provision/lvm.hh"
#include "provision/volume_locks.hh"

namespace holdfast::provision {

// Volume of an export.
struct SnapshotTarget {
    std::string export_name;
    std::string host;  // empty: the volume of all clients
    std::string group;
    std::string volume;
    std::vector<std::string> required_tags;  // tags of a volume that was made for the host
};

// Tag of a volume that takes the place of another one.
inline constexpr std::string_view restoring_tag = "holdfast.restoring";
// Tag of a volume that is replaced.
inline constexpr std::string_view replaced_tag = "holdfast.replaced";
// Said of a volume that LVM reports as open.
inline constexpr std::string_view text_of_use = "is in use; disconnect the host first";
// LVM does not know of a host that waits for its server, and will use the volume again.
inline constexpr std::string_view only_if_down =
    "shut the host down first: one that only waits for its server is not noticed";

// Gives the volume its name, or activates it, if a restore was ended between its steps. With `only_look`,
// changes the list only.
[[nodiscard]] Outcome<> finish_restore(const Lvm& lvm, const std::string& group, const std::string& volume,
                                       std::vector<LvmVolume>& volumes, bool only_look);

// Automatic snapshots to keep; 0: no limit.
struct SnapshotsKept {
    std::uint32_t count = 0;
    std::chrono::seconds age{0};
};

class SnapshotMaker {
public:
    using Time = std::chrono::sys_seconds;

    // `asker` is the socket of the process that waits. The references must outlive this object.
    SnapshotMaker(const Lvm& lvm, const VolumeLocks& locks, SnapshotTarget target, int asker)
        : lvm_(lvm), locks_(locks), target_(std::move(target)), asker_(asker) {}

    // Return what was done or, with `only_say`, what would be.
    // Takes a crash-consistent snapshot; an automatic one then removes those that are not kept any more.
    [[nodiscard]] Outcome<std::string> take(const std::string& name, bool automatic, SnapshotsKept kept,
                                            Time now, bool only_say);
    // Replaces the volume by a copy of the snapshot's state. The state of before stays as a snapshot.
    [[nodiscard]] Outcome<std::string> restore(const std::string& name, Time now, bool only_say);
    [[nodiscard]] Outcome<std::string> remove(const std::string& name, bool only_say);
    // Volume in use, empty: none: the reason of the last refusal or, with `only_say`, of a refusal to come.
    [[nodiscard]] const std::string& in_use() const { return in_use_; }

private:
    // Locks the volume and its group, finishes what was interrupted, or with `only_look` assumes it finished,
    // and lists the volumes.
    struct Volumes {
        VolumeLock volume_lock;
        Fd group_lock;
        std::vector<LvmVolume> all;
    };
    [[nodiscard]] Outcome<Volumes> list(bool only_look) const;
    // The export's volume, or why it has no snapshots.
    [[nodiscard]] Outcome<const LvmVolume*> find_target(const Volumes& volumes) const;
    [[nodiscard]] Outcome<const LvmVolume*> find_snapshot(const Volumes& volumes,
                                                          const std::string& name) const;
    // Returns what is left to say of the snapshot that was made.
    [[nodiscard]] Outcome<std::string> create(const std::string& name, bool automatic, Time now) const;
    // Removes automatic snapshots that are not kept; returns which were and could not be removed, for a
    // message.
    [[nodiscard]] std::string prune(SnapshotsKept kept, Time now) const;
    [[nodiscard]] std::string free_name(const Volumes& volumes, const std::string& wanted) const;
    // Makes a replaced volume, which has the name already, a snapshot.
    [[nodiscard]] Outcome<> retire(const LvmVolume& replaced, const std::string& name, Time now) const;
    [[nodiscard]] Outcome<> finish_retirement(const std::vector<LvmVolume>& volumes) const;
    // Removes what an interrupted restore has left.
    [[nodiscard]] Outcome<> remove_left(const Volumes& volumes) const;
    // Takes the volume away from later clients; fails if a client has it open.
    [[nodiscard]] Outcome<> take_away(const LvmVolume& target);
    [[nodiscard]] Outcome<> swap_in(const LvmVolume& target, const LvmVolume& snapshot,
                                    const std::string& old_name, Time now) const;
    [[nodiscard]] Outcome<> run(const std::string& program, const std::vector<std::string>& words) const;
    [[nodiscard]] std::vector<std::string> tags_of(const std::string& name, Time now) const;
    [[nodiscard]] std::string volume_of(const std::string& name) const;
    [[nodiscard]] std::string full(const std::string& volume) const { return target_.group + "/" + volume; }

    const Lvm& lvm_;
    const VolumeLocks& locks_;
    SnapshotTarget target_;
    int asker_;
    std::string in_use_;
};

}  // namespace holdfast::provision
