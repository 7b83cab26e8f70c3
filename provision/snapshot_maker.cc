// A restore is a few commands: at each moment there is the volume, or a new one with the tag of a restore,
// which the next request renames.

#include "provision/snapshot_maker.hh"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <ranges>
#include <thread>
#include <utility>

#include "common/golden/snapshots.hh"
#include "common/golden/volume_name.hh"

namespace holdfast::provision {
namespace {

using Words = std::vector<std::string>;

std::string tag(std::string_view key, std::string_view value) { return fmt::format("{}{}", key, value); }

}  // namespace

namespace {

// A volume that was to be replaced, and has its name still.
Outcome<> give_back(const Lvm& lvm, const std::string& full) {
    for (const Words& words : {Words{"--activate", "y", full}, {"--deltag", std::string(replaced_tag), full}})
        if (const auto done = lvm.run("lvchange", words); !done) return std::unexpected(done.error());
    return {};
}

}  // namespace

Outcome<> finish_restore(const Lvm& lvm, const std::string& group, const std::string& volume,
                         std::vector<LvmVolume>& volumes, bool only_look) {
    const auto found = std::ranges::find(volumes, volume, &LvmVolume::name);
    if (found != volumes.end()) {
        if (!found->has_tag(replaced_tag)) return {};
        if (!only_look)
            if (auto done = give_back(lvm, group + "/" + volume); !done) return done;
        std::erase(found->tags, replaced_tag);
        found->active = true;
        return {};
    }
    const auto next = std::ranges::find(volumes, unfinished_name(volume), &LvmVolume::name);
    if (next == volumes.end() || !next->has_tag(restoring_tag)) return {};
    if (!only_look)
        if (const auto renamed = lvm.run("lvrename", {group, next->name, volume}); !renamed)
            return std::unexpected(renamed.error());
    next->name = volume;
    return {};
}

std::string SnapshotMaker::volume_of(const std::string& name) const {
    return snapshot_volume(target_.volume, name);
}

Outcome<> SnapshotMaker::run(const std::string& program, const Words& words) const {
    const auto done = lvm_.run(program, words);
    if (!done) return std::unexpected(done.error());
    return {};
}

Outcome<SnapshotMaker::Volumes> SnapshotMaker::list(bool only_look) const {
    Result<VolumeLock> own = locks_.lock_volume(target_.group, target_.volume, asker_);
    if (!own) return std::unexpected("lock of the volume: " + own.error().message());
    Result<Fd> group = locks_.lock_group(target_.group);
    if (!group) return std::unexpected("lock of the volume group: " + group.error().message());
    auto all = lvm_.volumes(target_.group);
    if (!all) return std::unexpected(all.error());
    if (const auto whole = finish_restore(lvm_, target_.group, target_.volume, *all, only_look); !whole)
        return std::unexpected(whole.error());
    if (const auto whole = only_look ? Outcome<>() : finish_retirement(*all); !whole)
        return std::unexpected(whole.error());
    return Volumes{std::move(*own), std::move(*group), std::move(*all)};
}

Outcome<const LvmVolume*> SnapshotMaker::find_target(const Volumes& volumes) const {
    const LvmVolume* const found = find_volume(volumes.all, target_.volume);
    if (found == nullptr) return std::unexpected(fmt::format("{} does not exist", full(target_.volume)));
    const auto has = [&](const std::string& one) { return found->has_tag(one); };
    if (!std::ranges::all_of(target_.required_tags, has))
        return std::unexpected(
            fmt::format("{} was not made for this host; use LVM's own commands", full(found->name)));
    if (!found->thin)
        return std::unexpected(fmt::format("{} is not a volume of a thin pool, and only these have snapshots",
                                           full(found->name)));
    return found;
}

Outcome<const LvmVolume*> SnapshotMaker::find_snapshot(const Volumes& volumes,
                                                       const std::string& name) const {
    const LvmVolume* const found = find_volume(volumes.all, volume_of(name));
    const auto snapshot = found == nullptr ? std::nullopt : snapshot_by_tags(found->tags);
    if (!snapshot || snapshot->name != name || snapshot->of != target_.volume)
        return std::unexpected(fmt::format("{} has no snapshot {}", full(target_.volume), name));
    return found;
}

Words SnapshotMaker::tags_of(const std::string& name, Time now) const {
    Words words{"--addtag", tag(snapshot_tag, name),
                "--addtag", tag(snapshot_of_tag, target_.volume),
                "--addtag", tag(snapshot_export_tag, encoded_word(target_.export_name)),
                "--addtag", tag(snapshot_time_tag, std::to_string(now.time_since_epoch().count()))};
    if (!target_.host.empty()) {
        words.emplace_back("--addtag");
        words.push_back(tag(snapshot_host_tag, encoded_word(target_.host)));
    }
    return words;
}

// LVM suspends the volume for the moment of the snapshot, and so must have the snapshot active first. Then
// nothing of this machine looks at it. udev may still do so just now.
Outcome<std::string> SnapshotMaker::create(const std::string& name, bool automatic, Time now) const {
    Words words{"--yes"};
    std::ranges::copy(tags_of(name, now), std::back_inserter(words));
    if (automatic) words.insert(words.end(), {"--addtag", std::string(automatic_tag)});
    words.insert(words.end(),
                 {"--name", volume_of(name), "--type", "thin", "--permission", "rw", "--setactivationskip",
                  "y", "--ignoreactivationskip", "--activate", "y", full(target_.volume)});
    if (const auto made = run("lvcreate", words); !made) return std::unexpected(made.error());
    constexpr int attempts = 5;
    Outcome<> done;
    for (int i = 0; i < attempts; ++i) {
        if (i > 0) std::this_thread::sleep_for(std::chrono::seconds(1));
        done = run("lvchange", {"--activate", "n", full(volume_of(name))});
        if (done) return std::string();
    }
    return fmt::format("; it is still active: {}", done.error());
}

std::string SnapshotMaker::prune(SnapshotsKept kept, Time now) const {
    const auto all = lvm_.volumes(target_.group);
    if (!all) return fmt::format("; older ones were not looked for: {}", all.error());
    std::vector<Snapshot> snapshots;
    for (const LvmVolume& one : *all) {
        auto snapshot = snapshot_by_tags(one.tags);
        if (snapshot && snapshot->of == target_.volume && one.name == volume_of(snapshot->name))
            snapshots.push_back(std::move(*snapshot));
    }
    std::string text;
    // Each for itself: one that is mounted must not keep the others.
    for (const std::string& name : not_kept(std::move(snapshots), kept.count, kept.age, now)) {
        const std::string volume = full(volume_of(name));
        const auto removed = run("lvremove", {"--yes", volume});
        text += removed ? fmt::format("; removed {}", volume)
                        : fmt::format("; {} was not removed: {}", volume, removed.error());
    }
    return text;
}

Outcome<std::string> SnapshotMaker::take(const std::string& name, bool automatic, SnapshotsKept kept,
                                         Time now, bool only_say) {
    if (!is_snapshot_name(name)) return std::unexpected("the snapshot's name has other characters");
    const Outcome<Volumes> volumes = list(only_say);
    if (!volumes) return std::unexpected(volumes.error());
    const auto target = find_target(*volumes);
    if (!target) return std::unexpected(target.error());
    if (find_volume(volumes->all, volume_of(name)) != nullptr)
        return std::unexpected(fmt::format("{} exists already; choose another name", full(volume_of(name))));
    const std::string of = fmt::format("a snapshot of {}", full(target_.volume));
    if (only_say) return fmt::format("{} would be made as {}", full(volume_of(name)), of);
    const auto made = create(name, automatic, now);
    if (!made) return std::unexpected(made.error());
    const std::string removed = automatic ? prune(kept, now) : std::string();
    return fmt::format("made {} as {}{}{}", full(volume_of(name)), of, *made, removed);
}

// The volume has its old name no more: it becomes a snapshot, and is no longer the volume of a host.
Outcome<> SnapshotMaker::retire(const LvmVolume& replaced, const std::string& name, Time now) const {
    Words words = tags_of(name, now);
    for (const std::string& one : replaced.tags) words.insert(words.end(), {"--deltag", one});
    words.insert(words.end(), {"--setactivationskip", "y", full(volume_of(name))});
    if (const auto done = run("lvchange", words); !done) return done;
    return run("lvchange", {"--activate", "n", full(volume_of(name))});
}

Outcome<> SnapshotMaker::finish_retirement(const std::vector<LvmVolume>& volumes) const {
    const std::string before = volume_of({});
    for (const LvmVolume& one : volumes) {
        if (!one.has_tag(replaced_tag) || !one.name.starts_with(before)) continue;
        const std::string name = one.name.substr(before.size());
        const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
        if (!is_snapshot_name(name)) continue;
        if (const auto done = retire(one, name, now); !done) return done;
    }
    return {};
}

// LVM deactivates no volume that is open, and nobody opens one that is not active. The tag comes first, so
// that a restore that is ended here is noticed.
Outcome<> SnapshotMaker::take_away(const LvmVolume& target) {
    const std::string replaced(replaced_tag);
    if (auto done = run("lvchange", {"--addtag", replaced, full(target.name)}); !done) return done;
    const auto taken = run("lvchange", {"--activate", "n", full(target.name)});
    if (taken) return {};
    const auto now = lvm_.volumes(target_.group);
    const LvmVolume* const found = now ? find_volume(*now, target.name) : nullptr;
    if (found != nullptr && found->open) in_use_ = full(target.name);
    (void)run("lvchange", {"--deltag", replaced, full(target.name)});
    return std::unexpected(in_use_.empty() ? taken.error() : fmt::format("{} {}", in_use_, text_of_use));
}

Outcome<> SnapshotMaker::swap_in(const LvmVolume& target, const LvmVolume& snapshot,
                                 const std::string& old_name, Time now) const {
    const std::string next = unfinished_name(target.name);
    const std::string restoring(restoring_tag);
    const std::string replaced(replaced_tag);
    Words made{"--yes", "--addtag", restoring};
    for (const std::string& one : target.tags)
        if (one != restoring && one != replaced) made.insert(made.end(), {"--addtag", one});
    made.insert(made.end(), {"--name", next, "--type", "thin", "--permission", "rw", "--setactivationskip",
                             "n", "--ignoreactivationskip", "--activate", "y", full(snapshot.name)});
    if (auto done = run("lvcreate", made); !done) {
        (void)give_back(lvm_, full(target.name));
        return done;
    }
    const std::vector<std::pair<const char*, Words>> steps{
        {"lvrename", {target_.group, target.name, volume_of(old_name)}},
        {"lvrename", {target_.group, next, target.name}},
        {"lvchange", {"--deltag", restoring, full(target.name)}},
    };
    for (const auto& [program, words] : steps)
        if (const auto done = run(program, words); !done) return done;
    LvmVolume old = target;
    if (!old.has_tag(replaced)) old.tags.push_back(replaced);
    return retire(old, old_name, now);
}

std::string SnapshotMaker::free_name(const Volumes& volumes, const std::string& wanted) const {
    std::string name = wanted;
    for (unsigned number = 2; find_volume(volumes.all, volume_of(name)) != nullptr; ++number)
        name = fmt::format("{}.{}", wanted, number);
    return name;
}

Outcome<> SnapshotMaker::remove_left(const Volumes& volumes) const {
    const LvmVolume* const left = find_volume(volumes.all, unfinished_name(target_.volume));
    if (left == nullptr) return {};
    if (!left->has_tag(restoring_tag))
        return std::unexpected(fmt::format("{} is in the way; rename or remove it", full(left->name)));
    return run("lvremove", {"--yes", full(left->name)});
}

Outcome<std::string> SnapshotMaker::restore(const std::string& name, Time now, bool only_say) {
    const Outcome<Volumes> volumes = list(only_say);
    if (!volumes) return std::unexpected(volumes.error());
    const auto target = find_target(*volumes);
    if (!target) return std::unexpected(target.error());
    const auto snapshot = find_snapshot(*volumes, name);
    if (!snapshot) return std::unexpected(snapshot.error());
    if ((*target)->open) in_use_ = full(target_.volume);
    if (!in_use_.empty() && !only_say) return std::unexpected(fmt::format("{} {}", in_use_, text_of_use));
    const std::string old_name = free_name(*volumes, snapshot_name_at("before", now));
    if (only_say)
        return fmt::format("{} would get the state of {}; its state of now would stay as a snapshot {}; {}",
                           full(target_.volume), full(volume_of(name)), old_name, only_if_down);
    if (const auto removed = remove_left(*volumes); !removed) return std::unexpected(removed.error());
    if (const auto taken = take_away(**target); !taken) return std::unexpected(taken.error());
    if (const auto done = swap_in(**target, **snapshot, old_name, now); !done)
        return std::unexpected(done.error());
    return fmt::format("restored {} from {}; its state of before is the snapshot {}", full(target_.volume),
                       full(volume_of(name)), old_name);
}

Outcome<std::string> SnapshotMaker::remove(const std::string& name, bool only_say) {
    const Outcome<Volumes> volumes = list(only_say);
    if (!volumes) return std::unexpected(volumes.error());
    const auto snapshot = find_snapshot(*volumes, name);
    if (!snapshot) return std::unexpected(snapshot.error());
    if ((*snapshot)->open)
        return std::unexpected(fmt::format("{} is in use; unmount it first", full((*snapshot)->name)));
    if (only_say) return fmt::format("{} would be removed", full((*snapshot)->name));
    if (const auto removed = run("lvremove", {"--yes", full((*snapshot)->name)}); !removed)
        return std::unexpected(removed.error());
    return fmt::format("removed {}", full((*snapshot)->name));
}

}  // namespace holdfast::provision
