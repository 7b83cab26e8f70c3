// Snapshots of the volumes of exports: their names and tags, and which automatic ones are kept. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

inline constexpr std::string_view snapshot_tag = "holdfast.snapshot=";        // name
inline constexpr std::string_view snapshot_of_tag = "holdfast.snapshot_of=";  // volume, without its group
inline constexpr std::string_view snapshot_export_tag = "holdfast.snapshot_export=";  // encoded
inline constexpr std::string_view snapshot_host_tag = "holdfast.snapshot_host=";      // encoded
inline constexpr std::string_view snapshot_time_tag = "holdfast.taken=";  // seconds since the epoch
inline constexpr std::string_view automatic_tag = "holdfast.automatic";

// Whether the text may name a snapshot: 1 to 40 lower-case letters, digits, "-" and ".", of which the first
// is a letter or digit.
[[nodiscard]] bool is_snapshot_name(std::string_view text);

// Name of the snapshot's volume. No pattern of `create` gives such a name for any host.
[[nodiscard]] std::string snapshot_volume(std::string_view volume, std::string_view name);

// "auto-20261201-004500", by the time in UTC.
[[nodiscard]] std::string snapshot_name_at(std::string_view prefix, std::chrono::sys_seconds when);

struct Snapshot {
    std::string name;
    std::string of;  // volume, without its group
    std::string export_name;
    std::string host;  // empty: the volume of all clients
    std::chrono::sys_seconds taken{};
    bool automatic = false;

    bool operator==(const Snapshot&) const = default;
};
// Reads the tags of a volume; nullopt: no snapshot of Holdfast.
[[nodiscard]] std::optional<Snapshot> snapshot_by_tags(const std::vector<std::string>& tags);

// Returns the names of automatic snapshots that are beyond the newest `count`, or older than `age`; 0: no
// limit.
[[nodiscard]] std::vector<std::string> not_kept(std::vector<Snapshot> snapshots, std::size_t count,
                                                std::chrono::seconds age, std::chrono::sys_seconds now);

}  // namespace holdfast
