// Status of the server in three formats: text for people, JSON, and Prometheus' text exposition format
// (version 0.0.4). Pure. JSON is written by hand: this program only writes JSON, and names may contain any
// bytes, which JSON libraries reject.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "server/export/counters.hh"
#include "server/export/full_disks.hh"

namespace holdfast::server {

// Snapshot of the server.
struct StatusReport {
    struct Export {
        std::string name;
        std::string path;                     // empty: no longer in the configuration
        bool read_only = false;               // valid only if the export is in the configuration
        std::uint64_t connections = 0;        // now
        std::uint64_t connections_total = 0;  // since the start
        Tally tally;
        std::string old_path{};             // not empty: connections still use this path
        std::uint64_t old_connections = 0;  // number of these connections; valid only with `old_path`
        std::string last_peer{};            // client that disconnected last; empty: none since the start
        std::chrono::system_clock::time_point last_seen{};  // valid only with `last_peer`
        bool is_virtual = false;                            // each client has a disk of its own
        FullDisk::Counts full{};                            // requests that wait for room on the disk
    };
    using Time = std::chrono::system_clock::time_point;

    std::string version;
    int pid = 0;
    bool stopping = false;
    Time started;
    Time now;
    std::uint64_t connections = 0;  // in the handshake or with an export
    std::uint64_t handshakes = 0;
    std::uint64_t max_connections = 0;
    std::vector<Export> exports;  // in the order of the configuration
    std::vector<Statistics::ConnectionStatus> clients;
    std::vector<Statistics::OwnDiskSeen> own_disks{};  // whose clients have left
    std::array<std::uint64_t, turned_away_reasons> turned_away{};
};

// Formats lines for a terminal; names are printed without terminal control characters.
[[nodiscard]] std::string to_text(const StatusReport& report);
// Formats a single JSON object and a newline.
[[nodiscard]] std::string to_json(const StatusReport& report);
// Formats series by export and command; none for single connections, which are short-lived.
[[nodiscard]] std::string to_prometheus(const StatusReport& report);
// Formats a label's value with its quotes: backslash, quote and newline have escapes, and the rest is UTF-8.
[[nodiscard]] std::string prometheus_label(std::string_view value);

}  // namespace holdfast::server
