// A snapshot of a thin volume, and a new thin volume, appear at once under their name. A volume that has to
// be filled has another name until it is complete.

#include "provision/volume_maker.hh"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "provision/disk_filling.hh"
#include "provision/session_sweep.hh"
#include "provision/snapshot_maker.hh"

namespace holdfast::provision {
namespace {

using Kind = CreateRule::Kind;
using Words = std::vector<std::string>;

constexpr const char* golden_tag = "holdfast.golden";
}  // namespace

VolumeMaker::VolumeMaker(const Lvm& lvm, const VolumeLocks& locks, const CreatedExport& config,
                         std::string host, int asker)
    : lvm_(lvm),
      locks_(locks),
      config_(config),
      host_(std::move(host)),
      asker_(asker),
      name_(volume_name(config.pattern, host_)),
      export_tag_("holdfast.export=" + encoded_word(config.name)),
      host_tag_((config.by_session() ? std::string(session_tag) : "holdfast.host=") + encoded_word(host_)) {}

bool VolumeMaker::is_filled() const {
    return config_.rule.kind == Kind::copy || (config_.rule.kind == Kind::empty && config_.rule.pool.empty());
}

std::string VolumeMaker::rule_text() const {
    const CreateRule& rule = config_.rule;
    if (rule.kind == Kind::empty) return "empty";
    return fmt::format("as a {} of {}/{}", rule.kind == Kind::copy ? "copy" : "snapshot", rule.origin_group,
                       rule.origin);
}

Outcome<VolumeMaker::Volumes> VolumeMaker::list(bool only_look) const {
    Result<Fd> lock = locks_.lock_group(config_.pattern.group);
    if (!lock) return std::unexpected("lock of the volume group: " + lock.error().message());
    auto volumes = lvm_.volumes(config_.pattern.group);
    if (!volumes) return std::unexpected(volumes.error());
    if (const auto whole = finish_promotion(*volumes, only_look); !whole)
        return std::unexpected(whole.error());
    if (const auto whole = finish_restore(lvm_, config_.pattern.group, *name_, *volumes, only_look); !whole)
        return std::unexpected(whole.error());
    return Volumes{std::move(*lock), std::move(*volumes)};
}

Outcome<VolumeLock> VolumeMaker::lock_volume() const {
    if (!name_) return std::unexpected(name_.error());
    Result<VolumeLock> lock = locks_.lock_volume(config_.pattern.group, *name_, asker_);
    if (!lock) return std::unexpected("lock of the volume: " + lock.error().message());
    return std::move(*lock);
}

Outcome<std::string> VolumeMaker::make() {
    const Outcome<VolumeLock> lock = lock_volume();
    if (!lock) return std::unexpected(lock.error());
    return make_locked();
}

Outcome<std::string> VolumeMaker::make_locked() {
    Outcome<Volumes> volumes = list(false);
    if (!volumes) return std::unexpected(volumes.error());
    if (const LvmVolume* const found = find_volume(volumes->all, *name_)) return use_existing(*found);
    if (const auto removed = remove_unfinished(volumes->all); !removed)
        return std::unexpected(removed.error());
    if (const auto within = make_room(volumes); !within) return std::unexpected(within.error());
    const Outcome<bool> unfinished = create(volumes->all);
    if (!unfinished) return std::unexpected(unfinished.error());
    volumes->lock.reset();  // others need not wait while the volume is filled
    if (*unfinished) {
        const std::string temporary = unfinished_name(*name_);
        const std::string from = config_.rule.kind == Kind::copy
                                     ? "/dev/" + config_.rule.origin_group + "/" + config_.rule.origin
                                     : std::string();
        if (const auto filled = fill_disk(from, device(temporary)); !filled)
            return std::unexpected(filled.error());
        const auto renamed = lvm_.run("lvrename", {config_.pattern.group, temporary, *name_});
        if (!renamed) return std::unexpected(renamed.error());
    }
    return fmt::format("made {} {}", full(*name_), rule_text());
}

// A volume of this name that somebody else made is served as any other, but not changed.
Outcome<std::string> VolumeMaker::use_existing(const LvmVolume& volume) const {
    if (volume.active) return fmt::format("{} exists", full(volume.name));
    if (!volume.has_tag(export_tag_) || !volume.has_tag(host_tag_))
        return std::unexpected(
            fmt::format("{} exists, was not made for this host, and is not active; rename it, or activate it",
                        full(volume.name)));
    const auto activated =
        lvm_.run("lvchange", {"--activate", "y", "--ignoreactivationskip", full(volume.name)});
    if (!activated) return std::unexpected(activated.error());
    return fmt::format("activated {}", full(volume.name));
}

Outcome<> VolumeMaker::remove_unfinished(const std::vector<LvmVolume>& volumes) const {
    const LvmVolume* const left = find_volume(volumes, unfinished_name(*name_));
    if (left == nullptr) return {};
    if (!left->has_tag(export_tag_) || !left->has_tag(host_tag_))
        return std::unexpected(fmt::format(
            "{} is in the way, and was not made for this host; rename or remove it", full(left->name)));
    const auto removed = lvm_.run("lvremove", {"--yes", full(left->name)});
    if (!removed) return std::unexpected(removed.error());
    return {};
}

Outcome<> VolumeMaker::check_limit(const std::vector<LvmVolume>& volumes) const {
    const std::string own = unfinished_name(*name_);
    const auto count = std::ranges::count_if(
        volumes, [&](const LvmVolume& one) { return one.name != own && one.has_tag(export_tag_); });
    if (static_cast<std::size_t>(count) < config_.limit) return {};
    return std::unexpected(fmt::format(
        "{} volumes of this export exist already (createlimit = {}); remove one, or raise createlimit", count,
        config_.limit));
}

Outcome<> VolumeMaker::make_room(Outcome<Volumes>& volumes) const {
    const Outcome<> within = check_limit(volumes->all);
    if (within || !config_.by_session()) return within;
    volumes->lock.reset();
    (void)SessionSweep(lvm_, locks_, use_of_device).sweep_export(config_, since_boot());
    volumes = list(false);
    return volumes ? check_limit(volumes->all) : std::unexpected(volumes.error());
}

Outcome<> VolumeMaker::check_making(std::vector<LvmVolume> volumes) const {
    std::erase_if(volumes, [&](const LvmVolume& one) { return one.name == *name_; });
    if (auto within = check_limit(volumes); !within) return within;
    if (const auto words = words_for_rule(volumes); !words) return std::unexpected(words.error());
    return {};
}

Outcome<Words> VolumeMaker::words_for_rule(const std::vector<LvmVolume>& volumes) const {
    switch (config_.rule.kind) {
        case Kind::snapshot: return words_for_snapshot(volumes);
        case Kind::copy: return words_for_copy(volumes);
        case Kind::empty: break;
    }
    return words_for_empty(volumes);
}

Outcome<bool> VolumeMaker::create(const std::vector<LvmVolume>& volumes) const {
    Outcome<Words> words = words_for_rule(volumes);
    if (!words) return std::unexpected(words.error());
    Words all{"--yes",
              "--addtag",
              export_tag_,
              "--addtag",
              host_tag_,
              "--name",
              is_filled() ? unfinished_name(*name_) : *name_};
    all.insert(all.end(), words->begin(), words->end());
    const auto created = lvm_.run("lvcreate", all);
    if (!created) return std::unexpected(created.error());
    return is_filled();
}

// Uses --type thin, since with --snapshot LVM needs the module dm-snapshot, which the confined unit cannot
// load.
Outcome<Words> VolumeMaker::words_for_snapshot(const std::vector<LvmVolume>& volumes) const {
    const LvmVolume* const golden = find_volume(volumes, config_.rule.origin);
    const std::string name = full(config_.rule.origin);
    if (golden == nullptr) return std::unexpected(fmt::format("the golden volume {} does not exist", name));
    if (!golden->thin)
        return std::unexpected(
            fmt::format("{} is not a volume of a thin pool; {}", name,
                        config_.by_session() ? std::string("make it one (lvmthin(7)), or set readonly = true")
                                             : fmt::format("set create = copy of {}", name)));
    if (!golden->zeroes)
        return std::unexpected(
            fmt::format("the thin pool of {} does not zero new blocks, so that a host could read data of "
                        "others; set it with lvchange --zero y {}",
                        name, full(golden->pool)));
    if (const auto within = check_size(name, golden->size); !within) return std::unexpected(within.error());
    return Words{"--type", "thin", "--permission", "rw", "--setactivationskip", "n", "--activate", "y", name};
}

Outcome<Words> VolumeMaker::words_for_copy(const std::vector<LvmVolume>& volumes) const {
    const CreateRule& rule = config_.rule;
    std::vector<LvmVolume> others;
    if (rule.origin_group != config_.pattern.group) {
        auto listed = lvm_.volumes(rule.origin_group);
        if (!listed) return std::unexpected(listed.error());
        others = std::move(*listed);
    }
    const LvmVolume* const golden =
        find_volume(rule.origin_group == config_.pattern.group ? volumes : others, rule.origin);
    if (golden == nullptr || !golden->active)
        return std::unexpected(
            fmt::format("the golden volume {}/{} {}", rule.origin_group, rule.origin,
                        golden == nullptr ? "does not exist" : "is not active; activate it"));
    const std::string origin = rule.origin_group + "/" + rule.origin;
    if (const auto within = check_size(origin, golden->size); !within) return std::unexpected(within.error());
    return Words{"--addtag",
                 "holdfast.copy_of=" + origin,
                 "--size",
                 fmt::format("{}b", golden->size),
                 "--zero",
                 "n",
                 "--wipesignatures",
                 "n",
                 config_.pattern.group};
}

Outcome<Words> VolumeMaker::words_for_empty(const std::vector<LvmVolume>& volumes) const {
    const CreateRule& rule = config_.rule;
    const std::string size = fmt::format("{}b", rule.size);
    if (rule.pool.empty())
        return Words{"--size", size, "--zero", "n", "--wipesignatures", "n", config_.pattern.group};
    const LvmVolume* const pool = find_volume(volumes, rule.pool);
    if (pool == nullptr || !pool->thin_pool)
        return std::unexpected(fmt::format("{} is not a thin pool", full(rule.pool)));
    if (!pool->zeroes)
        return std::unexpected(
            fmt::format("the thin pool {0} does not zero new blocks, so that a host could read data of "
                        "others; set it with lvchange --zero y {0}",
                        full(rule.pool)));
    return Words{"--virtualsize", size, "--thinpool", full(rule.pool)};
}

std::unexpected<std::string> VolumeMaker::refuse_use(const std::string& volume) {
    in_use_ = full(volume);
    return std::unexpected(fmt::format("{} {}", in_use_, text_of_use));
}

Outcome<> VolumeMaker::check_use(const LvmVolume& volume, bool only_say) {
    if (!volume.open) return {};
    if (!only_say) return refuse_use(volume.name);
    in_use_ = full(volume.name);
    return {};
}

Outcome<> VolumeMaker::check_size(const std::string& volume, std::uint64_t size) const {
    const std::string why = why_too_large(config_, size);
    if (why.empty()) return {};
    return std::unexpected(fmt::format("{} has {}; raise createmaxsize, or shrink the volume", volume, why));
}

Outcome<> VolumeMaker::check_removal(const std::vector<LvmVolume>& volumes, const std::string& name,
                                     bool only_say) {
    const LvmVolume* const found = find_volume(volumes, name);
    if (found == nullptr) return std::unexpected(fmt::format("{} does not exist", full(name)));
    if (!found->has_tag(export_tag_) || !found->has_tag(host_tag_))
        return std::unexpected(fmt::format("{} was not made for this {}; use lvremove if it shall go",
                                           full(name), config_.by_session() ? "session" : "host"));
    if (auto may = check_use(*found, only_say); !may) return may;
    if (found->has_snapshots)
        return std::unexpected(fmt::format(
            "{} has snapshots, which LVM would remove with it; remove them first, or keep the volume",
            full(name)));
    return {};
}

std::string VolumeMaker::name_to_remove(const std::vector<LvmVolume>& volumes) const {
    const std::string unfinished = unfinished_name(*name_);
    const bool is_left =
        find_volume(volumes, *name_) == nullptr && find_volume(volumes, unfinished) != nullptr;
    return is_left ? unfinished : *name_;
}

Outcome<std::string> VolumeMaker::remove_locked(bool only_say, bool for_reset) {
    const Outcome<Volumes> volumes = list(only_say);
    if (!volumes) return std::unexpected(volumes.error());
    std::string name = name_to_remove(volumes->all);
    if (const auto may = check_removal(volumes->all, name, only_say); !may)
        return std::unexpected(may.error());
    if (for_reset)
        if (const auto can = check_making(volumes->all); !can)
            return std::unexpected(fmt::format("{}; {} was not removed, because it could not be made again",
                                               can.error(), full(name)));
    if (only_say) return name;
    // First: a volume of an interrupted restore would take the name.
    if (name == *name_)
        if (const auto removed = remove_unfinished(volumes->all); !removed)
            return std::unexpected(removed.error());
    const auto removed = lvm_.run("lvremove", {"--yes", full(name)});
    if (removed) return name;
    // A client may have come since the list was made.
    const auto now = lvm_.volumes(config_.pattern.group);
    const LvmVolume* const found = now ? find_volume(*now, name) : nullptr;
    if (found != nullptr && found->open) return refuse_use(name);
    return std::unexpected(removed.error());
}

Outcome<std::string> VolumeMaker::remove(bool only_say) {
    const Outcome<VolumeLock> lock = lock_volume();
    if (!lock) return std::unexpected(lock.error());
    const Outcome<std::string> name = remove_locked(only_say, false);
    if (!name) return name;
    return only_say ? fmt::format("{} would be removed with all its data; {}", full(*name), only_if_down)
                    : fmt::format("removed {}", full(*name));
}

Outcome<std::string> VolumeMaker::end_session() {
    using std::chrono::milliseconds;
    constexpr milliseconds pause{500};
    constexpr int most_attempts = 6;
    const Outcome<VolumeLock> lock = lock_volume();
    if (!lock) return std::unexpected(lock.error());
    for (int attempt = 1;; ++attempt) {
        in_use_.clear();
        const Outcome<std::string> removed = remove_locked(false, false);
        if (removed) return fmt::format("removed {}, whose session is over", full(*removed));
        if (in_use_.empty() || attempt == most_attempts) return removed;
        std::this_thread::sleep_for(pause);
    }
}

Outcome<> VolumeMaker::finish_promotion(std::vector<LvmVolume>& volumes, bool only_look) const {
    if (config_.rule.kind != Kind::snapshot || find_volume(volumes, config_.rule.origin) != nullptr)
        return {};
    const auto next = std::ranges::find(volumes, unfinished_name(config_.rule.origin), &LvmVolume::name);
    if (next == volumes.end() || !next->has_tag(golden_tag)) return {};
    if (!only_look)
        if (const auto renamed =
                lvm_.run("lvrename", {config_.pattern.group, next->name, config_.rule.origin});
            !renamed)
            return std::unexpected(renamed.error());
    next->name = config_.rule.origin;
    return {};
}

Outcome<std::string> VolumeMaker::check_promotion(const std::vector<LvmVolume>& volumes, bool only_say) {
    if (config_.rule.kind != Kind::snapshot)
        return std::unexpected("only exports with create = snapshot can have a new golden volume");
    if (const auto may = check_removal(volumes, *name_, only_say); !may) return std::unexpected(may.error());
    const LvmVolume* const golden = find_volume(volumes, config_.rule.origin);
    if (golden == nullptr)
        return std::unexpected(fmt::format("the golden volume {} does not exist", full(config_.rule.origin)));
    if (const auto may = check_use(*golden, only_say); !may) return std::unexpected(may.error());
    // The next golden volume has this size, and with it each volume that is made from it.
    if (const auto within = check_size(full(*name_), find_volume(volumes, *name_)->size); !within)
        return std::unexpected(within.error());
    unsigned number = 1;
    while (find_volume(volumes, fmt::format("{}.{}", golden->name, number)) != nullptr) ++number;
    return fmt::format("{}.{}", golden->name, number);
}

// The order leaves a golden volume, or one that finish_promotion() finds, at each moment.
Outcome<> VolumeMaker::replace_golden(const std::vector<LvmVolume>& volumes, const std::string& old) const {
    const std::string& golden = config_.rule.origin;
    const std::string next = unfinished_name(golden);
    std::vector<std::pair<const char*, Words>> steps;
    if (const LvmVolume* const left = find_volume(volumes, next)) {
        if (!left->has_tag(golden_tag))
            return std::unexpected(fmt::format("{} is in the way; rename or remove it", full(next)));
        steps.emplace_back("lvremove", Words{"--yes", full(next)});
    }
    steps.emplace_back(
        "lvcreate", Words{"--yes", "--addtag", golden_tag, "--name", next, "--type", "thin", "--permission",
                          "rw", "--setactivationskip", "n", "--activate", "y", full(*name_)});
    steps.emplace_back("lvrename", Words{config_.pattern.group, golden, old});
    steps.emplace_back("lvrename", Words{config_.pattern.group, next, golden});
    for (const auto& [program, words] : steps)
        if (const auto done = lvm_.run(program, words); !done) return std::unexpected(done.error());
    return {};
}

Outcome<std::string> VolumeMaker::promote(bool only_say) {
    const Outcome<VolumeLock> lock = lock_volume();
    if (!lock) return std::unexpected(lock.error());
    const Outcome<Volumes> volumes = list(only_say);
    if (!volumes) return std::unexpected(volumes.error());
    const Outcome<std::string> old = check_promotion(volumes->all, only_say);
    if (!old) return old;
    const std::string golden = full(config_.rule.origin);
    if (only_say)
        return fmt::format(
            "{} would be renamed to {}, and a snapshot of {} would become {}; other hosts keep "
            "their volumes until they are reset; {}",
            golden, full(*old), full(*name_), golden, only_if_down);
    if (const auto done = replace_golden(volumes->all, *old); !done) return std::unexpected(done.error());
    return fmt::format("promoted {} to {}; the golden volume of before is {}", full(*name_), golden,
                       full(*old));
}

Outcome<std::string> VolumeMaker::reset(bool only_say) {
    if (config_.by_session())
        return std::unexpected("a session cannot go on with another volume; remove its volume instead");
    const Outcome<VolumeLock> lock = lock_volume();
    if (!lock) return std::unexpected(lock.error());
    const Outcome<std::string> name = remove_locked(only_say, true);
    if (!name) return name;
    if (only_say)
        return fmt::format("{} would be removed with all its data, and made again {}; {}", full(*name),
                           rule_text(), only_if_down);
    Outcome<std::string> made = make_locked();
    if (made) return made;
    return std::unexpected(fmt::format(
        "{} was removed, and could not be made again: {}; the next connection of the host makes it",
        full(*name), made.error()));
}

}  // namespace holdfast::provision
