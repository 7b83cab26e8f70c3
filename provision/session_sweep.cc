// Holds the lock of the group meanwhile, so that no volume that is being made for a session is judged.

#include "provision/session_sweep.hh"

#include <fmt/core.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <set>

#include "common/linux/text_file.hh"
#include "common/text/number.hh"
#include "common/text/text.hh"

namespace holdfast::provision {
namespace {

// The server removes the volume of a connection when it ends; a new one may not be open yet.
constexpr std::chrono::seconds kept_for_connection = std::chrono::minutes(2);

bool is_of(const SessionVolume& volume, const CreatedExport& config) {
    return config.by_session() && encoded_word(config.name) == volume.export_name;
}

std::chrono::seconds keep_of(const SessionVolume& volume, std::chrono::seconds keep) {
    return is_connection_word(volume.session) ? kept_for_connection : keep;
}

std::vector<std::string> idle_tags(const LvmVolume& volume) {
    std::vector<std::string> found;
    std::ranges::copy_if(volume.tags, std::back_inserter(found),
                         [](const std::string& tag) { return tag.starts_with(idle_tag); });
    return found;
}

}  // namespace

std::string to_tag(const IdleSince& idle) {
    return fmt::format("{}{}.{}", idle_tag, idle.since.count(), idle.use);
}

std::chrono::seconds since_boot() {
    timespec now{};
    (void)::clock_gettime(CLOCK_BOOTTIME, &now);
    return std::chrono::seconds(now.tv_sec);
}

std::optional<IdleSince> idle_by_tags(const std::vector<std::string>& tags) {
    std::optional<IdleSince> found;
    for (const std::string& tag : tags) {
        if (!tag.starts_with(idle_tag)) continue;
        std::string_view rest = std::string_view(tag).substr(idle_tag.size());
        const auto since = number_of<std::int64_t>(take_until(rest, '.'));
        const auto use = number_of<std::uint64_t>(rest);
        if (!since || !use || found) return std::nullopt;
        found = IdleSince{std::chrono::seconds(*since), *use};
    }
    return found;
}

std::optional<SessionVolume> session_by_tags(const std::vector<std::string>& tags) {
    constexpr std::string_view export_tag = "holdfast.export=";
    SessionVolume found;
    for (const std::string& tag : tags) {
        if (tag.starts_with(export_tag)) found.export_name = tag.substr(export_tag.size());
        if (tag.starts_with(session_tag)) found.session = tag.substr(session_tag.size());
    }
    if (found.export_name.empty() || !host_word(HostKind::session, found.session)) return std::nullopt;
    return found;
}

SessionSweep::Swept SessionSweep::sweep(const std::vector<CreatedExport>& exports, Time now,
                                        bool only_say) const {
    std::set<std::string> groups;
    for (const CreatedExport& one : exports)
        if (one.by_session()) groups.insert(one.pattern.group);
    const Keep keep = [&](const SessionVolume& volume) {
        const auto found =
            std::ranges::find_if(exports, [&](const CreatedExport& one) { return is_of(volume, one); });
        return std::optional(
            keep_of(volume, found == exports.end() ? CreatedExport::default_keep : found->keep));
    };
    Swept swept;
    for (const std::string& group : groups) sweep_group(group, keep, now, only_say, swept);
    return swept;
}

SessionSweep::Swept SessionSweep::sweep_export(const CreatedExport& config, Time now) const {
    const Keep keep = [&](const SessionVolume& volume) {
        return is_of(volume, config) ? std::optional(keep_of(volume, config.keep)) : std::nullopt;
    };
    Swept swept;
    sweep_group(config.pattern.group, keep, now, false, swept);
    return swept;
}

void SessionSweep::sweep_group(const std::string& group, const Keep& keep, Time now, bool only_say,
                               Swept& swept) const {
    const Result<Fd> lock = locks_.lock_group(group);
    if (!lock) {
        swept.errors.push_back("lock of the volume group: " + lock.error().message());
        return;
    }
    const auto volumes = lvm_.volumes(group);
    if (!volumes) {
        swept.errors.push_back(volumes.error());
        return;
    }
    for (const LvmVolume& one : *volumes) {
        const std::optional<SessionVolume> session = session_by_tags(one.tags);
        const auto kept = session ? keep(*session) : std::nullopt;
        if (!kept) continue;
        sweep_volume(group + "/" + one.name, one, *kept, now, only_say, swept);
    }
}

void SessionSweep::sweep_volume(const std::string& full, const LvmVolume& volume, std::chrono::seconds keep,
                                Time now, bool only_say, Swept& swept) const {
    const Outcome<bool> over = is_over(full, volume, keep, now, only_say);
    if (!over) return swept.errors.push_back(over.error());
    if (!*over) return;
    // A client may have come since the list was made: LVM refuses to remove a volume that is open.
    if (!only_say)
        if (const auto removed = lvm_.run("lvremove", {"--yes", full}); !removed)
            return swept.errors.push_back(removed.error());
    swept.removed.push_back(full);
}

Outcome<bool> SessionSweep::is_over(const std::string& full, const LvmVolume& volume,
                                    std::chrono::seconds keep, Time now, bool only_say) const {
    const std::optional<IdleSince> noted = idle_by_tags(volume.tags);
    // LVM would remove classic snapshots, which an administrator has made, with the volume.
    if (volume.open || volume.has_snapshots) {
        if (only_say || idle_tags(volume).empty()) return false;
        const Outcome<> done = note(full, volume, std::nullopt);
        return done ? Outcome<bool>(false) : std::unexpected(done.error());
    }
    const Outcome<std::uint64_t> use = use_("/dev/" + full);
    if (!use) return std::unexpected(use.error());
    if (noted && noted->use == *use && noted->since <= now) return now - noted->since >= keep;
    if (only_say) return false;
    const Outcome<> done = note(full, volume, IdleSince{now, *use});
    return done ? Outcome<bool>(false) : std::unexpected(done.error());
}

Outcome<> SessionSweep::note(const std::string& full, const LvmVolume& volume,
                             const std::optional<IdleSince>& idle) const {
    std::vector<std::string> words;
    for (std::string& tag : idle_tags(volume)) {
        words.emplace_back("--deltag");
        words.push_back(std::move(tag));
    }
    if (idle) {
        words.emplace_back("--addtag");
        words.push_back(to_tag(*idle));
    }
    words.push_back(full);
    const auto changed = lvm_.run("lvchange", words);
    return changed ? Outcome<>() : std::unexpected(changed.error());
}

Outcome<std::uint64_t> use_of_device(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) {
        const SysError error{errno, "stat"};
        if (error.code == ENOENT) return 0;
        return std::unexpected(fmt::format("{}: {}", path, error.message()));
    }
    if (!S_ISBLK(status.st_mode)) return static_cast<std::uint64_t>(status.st_mtim.tv_sec);
    constexpr std::size_t longest = 4096;
    const Result<std::string> text = read_text_file(
        fmt::format("/sys/dev/block/{}:{}/stat", major(status.st_rdev), minor(status.st_rdev)), longest);
    if (!text) return std::unexpected(fmt::format("I/O counters of {}: {}", path, text.error().message()));
    // Finished reads and writes, and the discards of newer kernels; the times between them grow by themselves
    // only while a request is in progress.
    constexpr std::size_t reads = 0;
    constexpr std::size_t writes = 4;
    constexpr std::size_t discards = 11;
    std::string_view rest = *text;
    std::uint64_t sum = 0;
    for (std::size_t i = 0; !trimmed(rest).empty(); ++i) {
        const auto figure = number_of<std::uint64_t>(take_word(rest));
        if (figure && (i == reads || i == writes || i == discards)) sum += *figure;
    }
    return sum;
}

}  // namespace holdfast::provision
