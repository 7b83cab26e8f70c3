// The characters of lv_attr are those of lvs(8), NOTES.

#include "provision/lvm_output.hh"

#include <algorithm>

#include "common/text/number.hh"
#include "common/text/printable.hh"
#include "common/text/text.hh"

namespace holdfast::provision {
namespace {

constexpr std::size_t attributes = 10;
constexpr char separator = '|';

bool take_volume(std::string_view line, LvmVolume& made) {
    if (std::ranges::count(line, separator) != 4) return false;
    made.name = trimmed(take_until(line, separator));
    const auto size = number_of<std::uint64_t>(trimmed(take_until(line, separator)));
    const std::string_view attr = trimmed(take_until(line, separator));
    if (made.name.empty() || !size || attr.size() != attributes) return false;
    made.size = *size;
    made.thin = attr[0] == 'V';
    made.thin_pool = attr[0] == 't';
    made.has_snapshots = attr[0] == 'o' || attr[0] == 'O';
    made.active = attr[4] == 'a';
    made.open = attr[5] == 'o';
    made.zeroes = attr[7] == 'z';
    std::string_view tags = trimmed(take_until(line, separator));
    while (!tags.empty()) made.tags.emplace_back(take_until(tags, ','));
    made.pool = trimmed(line);
    return true;
}

}  // namespace

bool LvmVolume::has_tag(std::string_view tag) const { return std::ranges::find(tags, tag) != tags.end(); }

std::expected<std::vector<LvmVolume>, std::string> parse_volumes(std::string_view text) {
    std::vector<LvmVolume> volumes;
    while (!text.empty()) {
        const std::string_view line = trimmed(take_line(text));
        if (line.empty()) continue;
        LvmVolume made;
        if (!take_volume(line, made)) return std::unexpected(printable_ascii(line, 100));
        volumes.push_back(std::move(made));
    }
    return volumes;
}

const LvmVolume* find_volume(const std::vector<LvmVolume>& volumes, std::string_view name) {
    const auto found = std::ranges::find(volumes, name, &LvmVolume::name);
    return found == volumes.end() ? nullptr : &*found;
}

}  // namespace holdfast::provision
