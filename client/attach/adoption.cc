// Compares servers both as written and as resolved: the record keeps both forms, and the caller may name
// either.

#include "client/attach/adoption.hh"

#include <fmt/core.h>

#include <algorithm>
#include <optional>

#include "client/address/uri.hh"
#include "client/boot/same_server.hh"
#include "common/protocol/constants.hh"

namespace holdfast::client {
namespace {

bool means(const ServerAddress& server, const Target& target) {
    const ServerAddress wanted = canonical(server);
    if (const auto written = parse_uri(target.uri); written && canonical(*written) == wanted) return true;
    if (server.kind != ServerAddress::Kind::tcp) return false;
    auto resolved = parse_uri("nbd://" + target.endpoint.text + "/");
    if (!resolved) return false;
    resolved->export_name = target.export_name;
    return canonical(*resolved) == wanted;
}

}  // namespace

bool is_known(const ServerAddress& server, const std::vector<Target>& targets) {
    return std::ranges::any_of(targets, [&](const Target& target) { return means(server, target); });
}

std::vector<std::string> ignored_by_adoption(const std::vector<ServerAddress>& servers, const Choices& chosen,
                                             const DeviceRecord& record) {
    std::vector<std::string> lines;
    const auto compare = [&](const char* name, const auto& wanted, const auto& has, const auto& word,
                             bool by_takeover = false) {
        if (!wanted || *wanted == has) return;
        const std::string mend = by_takeover
                                     ? fmt::format("change it with `holdfast-client takeover nbd{} --{} {}`",
                                                   record.index, name, word(*wanted))
                                     : "to change it, detach the device and attach it again";
        lines.push_back(fmt::format("ignoring {}={}: the device keeps {}={}; {}", name, word(*wanted), name,
                                    word(has), mend));
    };
    const auto seconds = [](std::chrono::seconds value) { return value.count(); };
    const auto cache = [](LostCache value) { return value == LostCache::fail ? "fail" : "continue"; };
    const auto lease = [](LeaseCare value) { return value == LeaseCare::leave ? "leave" : "renew"; };
    const auto yes_no = [](bool value) { return value ? "true" : "false"; };
    const auto number = [](std::uint32_t value) { return value; };
    const Policy& policy = record.policy;
    const bool read_only = (record.server_flags & nbd::flag_read_only) != 0;
    for (const ServerAddress& server : servers)
        if (!is_known(server, record.targets))
            lines.push_back(
                fmt::format("ignoring {}: the device was attached without this server; change its servers "
                            "with `holdfast-client takeover nbd{} --server ...`",
                            to_uri(server), record.index));
    compare("timeout", chosen.timeout, policy.request_timeout, seconds);
    compare("dead-after", chosen.dead_after, policy.dead_after, seconds, true);
    compare("probe", chosen.probe, policy.probe_interval, seconds, true);
    compare("lost-cache", chosen.lost_cache, policy.lost_cache, cache, true);
    compare("shutdown-timeout", chosen.shutdown_timeout, policy.shutdown_timeout, seconds, true);
    compare("lease", chosen.lease, policy.lease, lease);
    compare("block-size", chosen.block_size, record.block_size, number);
    // If the server does not allow writes, the device is read-only regardless of the option.
    if (chosen.read_only.value_or(false)) compare("read-only", chosen.read_only, read_only, yes_no);
    return lines;
}

}  // namespace holdfast::client
