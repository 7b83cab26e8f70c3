// Makes, resets and removes the volume of one host or session. May be ended at any moment: the next request
// for the host finds either the finished volume, or an unfinished one, which it removes.
#pragma once

#include <string>
#include <vector>

#include "common/golden/created_export.hh"
#include "provision/lvm.hh"
#include "provision/volume_locks.hh"

namespace holdfast::provision {

class VolumeMaker {
public:
    // `asker` is the socket of the process that waits for the volume. The references must outlive this
    // object.
    VolumeMaker(const Lvm& lvm, const VolumeLocks& locks, const CreatedExport& config, std::string host,
                int asker);

    // Return what was done.
    [[nodiscard]] Outcome<std::string> make();
    // With `only_say` return what would be done, and change nothing.
    [[nodiscard]] Outcome<std::string> reset(bool only_say);
    [[nodiscard]] Outcome<std::string> remove(bool only_say);
    // Makes the host's state the golden volume; the golden volume of before stays under a name with a number.
    [[nodiscard]] Outcome<std::string> promote(bool only_say);
    // Removes the volume of a session that is over. Waits for a moment if the volume is open: a connection
    // that ends is followed by udev's look at the device.
    [[nodiscard]] Outcome<std::string> end_session();
    // Volume in use, empty: none: the reason of the last refusal or, with `only_say`, of a refusal to come.
    [[nodiscard]] const std::string& in_use() const { return in_use_; }

private:
    struct Volumes {
        Fd lock;
        std::vector<LvmVolume> all;
    };
    // Locks the group, finishes what was interrupted, or with `only_look` assumes it finished, and lists the
    // volumes.
    [[nodiscard]] Outcome<Volumes> list(bool only_look) const;
    [[nodiscard]] Outcome<VolumeLock> lock_volume() const;
    [[nodiscard]] Outcome<std::string> make_locked();
    // Creates the volume, unfinished if it has to be filled. Returns whether it has.
    [[nodiscard]] Outcome<bool> create(const std::vector<LvmVolume>& volumes) const;
    [[nodiscard]] Outcome<std::string> use_existing(const LvmVolume& volume) const;
    [[nodiscard]] Outcome<> remove_unfinished(const std::vector<LvmVolume>& volumes) const;
    [[nodiscard]] Outcome<> check_limit(const std::vector<LvmVolume>& volumes) const;
    // Checks the limit; if it is reached by volumes of sessions, removes those that are over.
    [[nodiscard]] Outcome<> make_room(Outcome<Volumes>& volumes) const;
    // Checks, as far as possible before the volume is removed, that the volume can be made again.
    [[nodiscard]] Outcome<> check_making(std::vector<LvmVolume> volumes) const;
    [[nodiscard]] Outcome<std::vector<std::string>> words_for_rule(
        const std::vector<LvmVolume>& volumes) const;
    // Arguments of lvcreate that depend on the rule.
    [[nodiscard]] Outcome<std::vector<std::string>> words_for_snapshot(
        const std::vector<LvmVolume>& volumes) const;
    [[nodiscard]] Outcome<std::vector<std::string>> words_for_copy(
        const std::vector<LvmVolume>& volumes) const;
    [[nodiscard]] Outcome<std::vector<std::string>> words_for_empty(
        const std::vector<LvmVolume>& volumes) const;
    // The volume of this name, if it is the host's and may be removed.
    [[nodiscard]] Outcome<> check_removal(const std::vector<LvmVolume>& volumes, const std::string& name,
                                          bool only_say);
    // Refuses a volume in use; with `only_say` notes the use.
    [[nodiscard]] Outcome<> check_use(const LvmVolume& volume, bool only_say);
    // The name of the host's volume, or of what an interrupted copy has left.
    [[nodiscard]] std::string name_to_remove(const std::vector<LvmVolume>& volumes) const;
    // Checks, and removes unless `only_say`. Returns the name.
    [[nodiscard]] Outcome<std::string> remove_locked(bool only_say, bool for_reset);
    [[nodiscard]] std::unexpected<std::string> refuse_use(const std::string& volume);
    // Checks that the host's volume can become the golden volume; returns the name that the old one gets.
    [[nodiscard]] Outcome<std::string> check_promotion(const std::vector<LvmVolume>& volumes, bool only_say);
    // Checks createmaxsize for a volume of this size; `volume` has the size.
    [[nodiscard]] Outcome<> check_size(const std::string& volume, std::uint64_t size) const;
    [[nodiscard]] Outcome<> replace_golden(const std::vector<LvmVolume>& volumes,
                                           const std::string& old) const;
    // Finishes a promotion that was interrupted between its two renames.
    [[nodiscard]] Outcome<> finish_promotion(std::vector<LvmVolume>& volumes, bool only_look) const;
    [[nodiscard]] std::string full(const std::string& volume) const {
        return config_.pattern.group + "/" + volume;
    }
    [[nodiscard]] std::string device(const std::string& volume) const { return "/dev/" + full(volume); }
    [[nodiscard]] bool is_filled() const;
    [[nodiscard]] std::string rule_text() const;

    const Lvm& lvm_;
    const VolumeLocks& locks_;
    const CreatedExport& config_;
    std::string host_;
    int asker_;
    Outcome<std::string> name_;
    std::string export_tag_;
    std::string host_tag_;
    std::string in_use_;
};

}  // namespace holdfast::provision
