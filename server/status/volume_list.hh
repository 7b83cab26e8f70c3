// Exports with their disks and clients, as `holdfast-server volumes` shows them. The server sends the rows in
// an encoding of their own, because this program reads no JSON. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/golden/snapshots.hh"
#include "server/status/status_report.hh"

namespace holdfast::server {

// A client of an export, or an export without a client.
struct VolumeRow {
    using Time = std::chrono::sys_seconds;
    // From the server:
    std::string export_name;
    std::string path;         // empty: no longer in the configuration
    std::string client;       // empty: none connected
    std::uint64_t offered{};  // bytes; valid only with `client`
    Time since{};             // begin of the connection; valid only with `client`
    std::string last_client;  // client that disconnected last; empty: none since the server's start
    Time last_seen{};         // valid only with `last_client`
    std::string host;         // host or session whose disk it is; empty: the disk of all clients
    bool of_hosts = false;    // stands for disks of hosts that the server has not seen
    // From lvs(8) and stat(2), where permitted:
    std::string volume;                    // "vg0/root"; empty: unknown, or no logical volume
    std::optional<std::uint64_t> size;     // bytes at present
    std::optional<std::string> used;       // percent of a thin volume or snapshot, such as "12.50"
    std::string pool;                      // thin pool of the volume, "vg0/pool"; empty: none
    std::optional<std::string> pool_used;  // percent
    std::string golden{};                  // golden volume of a host's volume, "vg0/golden"; empty: none
    std::optional<std::string> pool_metadata_used{};  // percent of the pool's metadata
    bool of_session = false;                          // `host` is the word of a session; from the server, too

    bool operator==(const VolumeRow&) const = default;
};

// A logical volume, as lvs(8) prints it with these columns.
inline constexpr std::string_view lvs_columns =
    "vg_name,lv_name,lv_size,data_percent,lv_kernel_major,lv_kernel_minor,pool_lv,origin,metadata_percent,"
    "lv_tags";
struct LogicalVolume {
    std::string name;  // "vg0/root"
    std::uint64_t size = 0;
    std::string used;  // empty: no thin pool, not thin, and no snapshot
    int major = -1;    // -1: inactive
    int minor = -1;
    std::string pool{};         // "vg0/pool"; empty: not thin
    std::string origin{};       // "vg0/golden"; empty: neither a snapshot, nor a copy that a tag names
    std::string export_name{};  // export by the tags of holdfast-provision; empty: not made by it
    std::string host{};         // valid only with `export_name`
    std::optional<Snapshot> snapshot{};
    std::string metadata_used{};  // percent; empty: no thin pool
    bool of_session = false;      // `host` is the word of a session

    bool operator==(const LogicalVolume&) const = default;
};

// Encodes the rows for the status socket: fields separated by tabs, a line per row.
[[nodiscard]] std::string encode_volumes(const StatusReport& report);
// nullopt: not the encoding of this version.
[[nodiscard]] std::optional<std::vector<VolumeRow>> decode_volumes(std::string_view text);
// Parses the output of `lvs --noheadings --nosuffix --units b --separator ,`; skips lines that it does not
// know.
[[nodiscard]] std::vector<LogicalVolume> parse_lvs(std::string_view text);

// Adds the facts of the volume with this device number, and of its pool. False: there is no such volume.
[[nodiscard]] bool add_volume_facts(VolumeRow& row, const std::vector<LogicalVolume>& volumes, int major,
                                    int minor);

// Adds rows for the volumes of hosts that have none, and removes rows that stand for such volumes.
[[nodiscard]] std::vector<VolumeRow> with_made_volumes(std::vector<VolumeRow> rows,
                                                       const std::vector<LogicalVolume>& volumes);

// Thin pools of the rows whose data or metadata are 80 percent full or more, as lines with the mend.
struct PoolWarning {
    bool nearly_full = false;  // 90 percent or more
    std::string text;

    bool operator==(const PoolWarning&) const = default;
};
[[nodiscard]] std::vector<PoolWarning> pool_warnings(const std::vector<VolumeRow>& rows);

// RFC 3339, in UTC.
[[nodiscard]] std::string time_text(VolumeRow::Time when);
// "2048 MiB".
[[nodiscard]] std::string size_text(std::uint64_t bytes);
// A string of JSON; null for an empty text.
[[nodiscard]] std::string json_or_null(std::string_view text);
// Formats lines of equally many cells in columns.
[[nodiscard]] std::string table_text(const std::vector<std::vector<std::string>>& lines);

// Formats a table for a terminal.
[[nodiscard]] std::string volumes_text(const std::vector<VolumeRow>& rows);
// Formats a single JSON object and a newline.
[[nodiscard]] std::string volumes_json(const std::vector<VolumeRow>& rows);
// Formats Prometheus' text exposition format 0.0.4: a series of each family for an export, whatever the
// number of its clients, and one for each logical volume of a host.
[[nodiscard]] std::string volumes_prometheus(const std::vector<VolumeRow>& rows);

}  // namespace holdfast::server
