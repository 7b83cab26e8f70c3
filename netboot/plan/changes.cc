// The diff is for texts of some dozen lines: a table of the longest common subsequences serves.

#include "netboot/plan/changes.hh"

#include <fmt/core.h>

#include <algorithm>

#include "common/text/text.hh"

namespace holdfast::netboot {
namespace {

std::optional<std::string> text_in(const Texts& texts, const std::string& path) {
    const auto found = texts.find(path);
    return found == texts.end() ? std::nullopt : std::optional(found->second);
}

bool is_recorded(const Sums& recorded, const std::string& path, const std::string& text) {
    const auto found = recorded.find(path);
    return found != recorded.end() && found->second.contains(sum_of(text));
}

std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> lines;
    while (!text.empty()) lines.push_back(take_line(text));
    return lines;
}

using Lines = std::vector<std::string_view>;

// lengths[i][j]: longest common subsequence of the lines from i on and from j on.
std::vector<std::vector<std::size_t>> common_lengths(const Lines& before, const Lines& after) {
    std::vector<std::vector<std::size_t>> lengths(before.size() + 1,
                                                  std::vector<std::size_t>(after.size() + 1));
    for (std::size_t i = before.size(); i-- > 0;)
        for (std::size_t j = after.size(); j-- > 0;)
            lengths[i][j] = before[i] == after[j] ? lengths[i + 1][j + 1] + 1
                                                  : std::max(lengths[i + 1][j], lengths[i][j + 1]);
    return lengths;
}

std::string marked_lines(const Lines& before, const Lines& after) {
    const auto lengths = common_lengths(before, after);
    std::string text;
    for (std::size_t i = 0, j = 0; i < before.size() || j < after.size();) {
        if (i < before.size() && j < after.size() && before[i] == after[j]) {
            text += fmt::format(" {}\n", before[i]);
            ++i, ++j;
        } else if (j == after.size() || (i < before.size() && lengths[i + 1][j] >= lengths[i][j + 1])) {
            text += fmt::format("-{}\n", before[i++]);
        } else {
            text += fmt::format("+{}\n", after[j++]);
        }
    }
    return text;
}

bool is_binary(const std::optional<std::string>& text) {
    return text && (text->contains('\0') || std::ranges::count(*text, '\n') > 2000);
}

}  // namespace

Changes compare(const Sums& recorded, const Texts& wanted, const Texts& on_disk, Edited edited) {
    Changes changes;
    Sums paths = united(recorded, sums_of(wanted));
    for (const auto& [path, ignored] : paths) {
        Change change{path, text_in(on_disk, path), text_in(wanted, path), !recorded.contains(path)};
        if (change.after) changes.sums[path] = {sum_of(*change.after)};
        if (change.before == change.after) continue;
        const bool ours = !change.before || is_recorded(recorded, path, *change.before);
        const bool same_plan = change.after && is_recorded(recorded, path, *change.after);
        if (ours || edited == Edited::overwrite_all) {
            changes.list.push_back(std::move(change));
        } else if (same_plan) {
            changes.kept.push_back(path);
        } else if (edited == Edited::overwrite_changed) {
            changes.list.push_back(std::move(change));
        } else {
            changes.edited.push_back(std::move(change));
        }
    }
    return changes;
}

Sums united(const Sums& before, const Sums& after) {
    Sums sums = before;
    for (const auto& [path, several] : after) sums[path].insert(several.begin(), several.end());
    return sums;
}

Obstacle obstacle_to(const Change& change) noexcept {
    if (change.is_foreign)
        return {"not written by holdfast-netboot",
                "merge both texts by hand and use --keep, or use --force to replace the file"};
    if (!change.after)
        return {"edited by hand, and would be removed", "use --keep to leave it, or --force to remove it"};
    return {"edited by hand, and its entry has changed",
            "merge the change by hand and use --keep, or use --force to lose the edits"};
}

std::string diff_of(const Change& change) {
    const std::string before = change.before ? change.path : "/dev/null";
    const std::string after = change.after ? change.path : "/dev/null";
    std::string text = fmt::format("--- {}\n+++ {}\n", before, after);
    if (is_binary(change.before) || is_binary(change.after)) return text + "(binary)\n";
    const std::string old_text = change.before.value_or("");
    const std::string new_text = change.after.value_or("");
    const Lines old_lines = lines_of(old_text);
    const Lines new_lines = lines_of(new_text);
    return text +
           fmt::format("@@ -{},{} +{},{} @@\n", old_lines.empty() ? 0 : 1, old_lines.size(),
                       new_lines.empty() ? 0 : 1, new_lines.size()) +
           marked_lines(old_lines, new_lines);
}

}  // namespace holdfast::netboot
