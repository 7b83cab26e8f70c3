// Reads the lines of lvs(8). Pure.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::provision {

// Columns that lvs is asked for. Neither a name nor a tag can contain the separator.
inline constexpr std::string_view lvs_columns = "lv_name,lv_size,lv_attr,lv_tags,pool_lv";
inline constexpr std::string_view lvs_separator = "|";

struct LvmVolume {
    std::string name;
    std::uint64_t size = 0;  // bytes
    bool active = false;
    bool open = false;  // a program or a mount uses the device
    bool thin = false;  // a volume of a thin pool
    bool thin_pool = false;
    bool has_snapshots = false;  // classic ones, which LVM removes with the volume
    bool zeroes = false;         // a thin pool, or a volume of it, whose new blocks are zeroed
    std::vector<std::string> tags;
    std::string pool;

    [[nodiscard]] bool has_tag(std::string_view tag) const;
};

// The error is the first line that lvs does not print.
[[nodiscard]] std::expected<std::vector<LvmVolume>, std::string> parse_volumes(std::string_view text);

[[nodiscard]] const LvmVolume* find_volume(const std::vector<LvmVolume>& volumes, std::string_view name);

}  // namespace holdfast::provision
