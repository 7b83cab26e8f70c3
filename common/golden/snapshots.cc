// "+snap-" in a volume's name is no encoded character, so that it is no part of a host's volume.

#include "common/golden/snapshots.hh"

#include <fmt/core.h>

#include <algorithm>

#include "common/golden/volume_name.hh"
#include "common/text/characters.hh"
#include "common/text/number.hh"

namespace holdfast {
namespace {

bool take_value(std::string_view tag, std::string_view key, std::string& value) {
    if (!tag.starts_with(key)) return false;
    value = tag.substr(key.size());
    return true;
}

}  // namespace

bool is_snapshot_name(std::string_view text) {
    constexpr std::size_t longest = 40;
    return !text.empty() && text.size() <= longest && is_small_letter_or_digit(text.front()) &&
           std::ranges::all_of(text,
                               [](char c) { return is_small_letter_or_digit(c) || c == '-' || c == '.'; });
}

std::string snapshot_volume(std::string_view volume, std::string_view name) {
    return fmt::format("{}+snap-{}", volume, name);
}

std::string snapshot_name_at(std::string_view prefix, std::chrono::sys_seconds when) {
    const auto day = std::chrono::floor<std::chrono::days>(when);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(when - day);
    return fmt::format("{}-{:04}{:02}{:02}-{:02}{:02}{:02}", prefix, static_cast<int>(date.year()),
                       static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                       clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

std::optional<Snapshot> snapshot_by_tags(const std::vector<std::string>& tags) {
    Snapshot made;
    std::string text;
    for (const std::string& tag : tags) {
        if (take_value(tag, snapshot_tag, made.name) || take_value(tag, snapshot_of_tag, made.of)) continue;
        if (take_value(tag, snapshot_export_tag, text)) made.export_name = decoded_word(text);
        if (take_value(tag, snapshot_host_tag, text)) made.host = decoded_word(text);
        if (take_value(tag, snapshot_time_tag, text))
            made.taken =
                std::chrono::sys_seconds(std::chrono::seconds(number_of<std::int64_t>(text).value_or(0)));
        made.automatic |= tag == automatic_tag;
    }
    if (!is_snapshot_name(made.name) || made.of.empty()) return std::nullopt;
    return made;
}

std::vector<std::string> not_kept(std::vector<Snapshot> snapshots, std::size_t count,
                                  std::chrono::seconds age, std::chrono::sys_seconds now) {
    std::erase_if(snapshots, [](const Snapshot& one) { return !one.automatic; });
    std::ranges::sort(snapshots, std::ranges::greater(), &Snapshot::taken);
    std::vector<std::string> names;
    for (std::size_t i = 0; i < snapshots.size(); ++i) {
        const bool beyond = count != 0 && i >= count;
        const bool old = age.count() != 0 && now - snapshots[i].taken > age;
        if (beyond || old) names.push_back(snapshots[i].name);
    }
    return names;
}

}  // namespace holdfast
