// What the server tells of itself, in three spellings: for a person, as JSON, and in Prometheus' text
// exposition format (version 0.0.4). Pure. JSON is written by hand: it is only ever written here, and names
// in it may be any bytes, which libraries for it refuse.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "server/export/counters.hh"

namespace holdfast::server {

// The server at one moment.
struct StatusReport {
    struct Export {
        std::string name;
        std::string path;                     // empty: it is not in the configuration any more
        bool read_only = false;               // gives meaning to one that is
        std::uint64_t connections = 0;        // now
        std::uint64_t connections_total = 0;  // since the start
        Tally tally;
        std::string old_path{};             // not empty: connections still use this one
        std::uint64_t old_connections = 0;  // gives meaning to `old_path`: how many
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
    std::array<std::uint64_t, turned_away_reasons> turned_away{};
};

// Lines for a terminal; of names, nothing that a terminal obeys.
[[nodiscard]] std::string to_text(const StatusReport& report);
// One object, and a newline.
[[nodiscard]] std::string to_json(const StatusReport& report);
// By export and command; no series for single connections, which come and go.
[[nodiscard]] std::string to_prometheus(const StatusReport& report);

}  // namespace holdfast::server
