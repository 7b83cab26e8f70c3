// Lists the exports of the configuration first, then those that only have counters or connections.

#include "server/status/server_report.hh"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

namespace holdfast::server {

StatusReport make_report(const Config& config, const Shared& shared, const ServerState& state) {
    StatusReport report;
    report.version = HOLDFAST_VERSION;
    report.pid = ::getpid();
    report.stopping = state.stopping;
    report.started = state.started;
    report.now = std::chrono::system_clock::now();
    report.connections = state.connections;
    report.handshakes = state.handshakes;
    report.max_connections = config.maxconnections;
    Statistics::Snapshot figures = shared.statistics.snapshot();
    report.turned_away = figures.turned_away;
    std::map<std::string_view, std::uint64_t> now;
    for (const Statistics::ConnectionStatus& one : figures.connections) ++now[one.facts.export_name];
    const auto add = [&](const std::string& name, const std::string& path, bool read_only, bool is_virtual) {
        const Statistics::ExportStatus& one = figures.exports[name];
        const DisksInUse::Others others = shared.disks.others_than(name, path);
        report.exports.push_back({name, path, read_only, now[name], one.connections, one.tally,
                                  path.empty() || is_virtual ? std::string() : others.path,
                                  others.connections, one.last_peer, one.last_seen, is_virtual,
                                  shared.full_disks.counts(name)});
    };
    for (const ExportConfig& one : config.exports) add(one.name, one.path, one.readonly, one.is_virtual());
    for (const auto& [name, one] : figures.exports) {
        if (std::ranges::find(config.exports, name, &ExportConfig::name) != config.exports.end()) continue;
        const std::optional<ExportConfig> found = config.export_for(name);
        if (!found)
            add(name, {}, false, false);
        else if (found->by_name())
            add(name, path_for_client(*found, {}), found->readonly, true);
    }
    report.own_disks = std::move(figures.own_disks);
    report.clients = std::move(figures.connections);
    return report;
}

}  // namespace holdfast::server
