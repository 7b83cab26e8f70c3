// Exports with their disks and clients, as `holdfast-server volumes` shows them. The server sends the rows in
// an encoding of their own, because this program reads no JSON. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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
    // From lvs(8) and stat(2), where permitted:
    std::string volume;                 // "vg0/root"; empty: unknown, or no logical volume
    std::optional<std::uint64_t> size;  // bytes at present
    std::optional<std::string> used;    // percent of a thin volume or snapshot, such as "12.50"

    bool operator==(const VolumeRow&) const = default;
};

// A logical volume, as lvs(8) prints it with these columns.
inline constexpr std::string_view lvs_columns =
    "vg_name,lv_name,lv_size,data_percent,lv_kernel_major,lv_kernel_minor";
struct LogicalVolume {
    std::string name;  // "vg0/root"
    std::uint64_t size = 0;
    std::string used;  // empty: neither thin nor a snapshot
    int major = -1;    // -1: inactive
    int minor = -1;

    bool operator==(const LogicalVolume&) const = default;
};

// Encodes the rows for the status socket: fields separated by tabs, a line per row.
[[nodiscard]] std::string encode_volumes(const StatusReport& report);
// nullopt: not the encoding of this version.
[[nodiscard]] std::optional<std::vector<VolumeRow>> decode_volumes(std::string_view text);
// Parses the output of `lvs --noheadings --nosuffix --units b --separator ,`; skips lines that it does not
// know.
[[nodiscard]] std::vector<LogicalVolume> parse_lvs(std::string_view text);

// Formats a table for a terminal.
[[nodiscard]] std::string volumes_text(const std::vector<VolumeRow>& rows);
// Formats a single JSON object and a newline.
[[nodiscard]] std::string volumes_json(const std::vector<VolumeRow>& rows);

}  // namespace holdfast::server
