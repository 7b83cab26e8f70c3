// Makes the status report from the counters and the configuration.
#pragma once

#include "server/config/config.hh"
#include "server/export/shared.hh"
#include "server/status/status_report.hh"

namespace holdfast::server {

// State of the main loop that a report shows.
struct ServerState {
    bool stopping = false;
    StatusReport::Time started;
    std::size_t connections = 0;
    std::size_t handshakes = 0;
};

[[nodiscard]] StatusReport make_report(const Config& config, const Shared& shared, const ServerState& state);

}  // namespace holdfast::server
