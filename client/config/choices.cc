// Parses by option_table.hh; merges member by member.

#include "client/config/choices.hh"

#include <fmt/core.h>

#include <algorithm>

#include "client/config/option_table.hh"
#include "common/text/printable.hh"

namespace holdfast::client {

std::expected<bool, std::string> choose(Choices& choices, std::string_view name, std::string_view value) {
    const auto options = choice_options();
    const auto option = std::ranges::find(options, name, &ChoiceOption::name);
    if (option == options.end()) return false;
    if (option->read(value, choices)) return true;
    if (value.empty()) return std::unexpected{fmt::format("takes {}; missing value", option->values)};
    return std::unexpected{fmt::format("takes {}, not {}", option->values, printable(value))};
}

Choices merged(const Choices& preferred, const Choices& fallback) {
    Choices both = preferred;
    const auto fill = [&](auto Choices::*choice) {
        if (!(both.*choice)) both.*choice = fallback.*choice;
    };
    fill(&Choices::timeout);
    fill(&Choices::dead_after);
    fill(&Choices::probe);
    fill(&Choices::wait);
    fill(&Choices::connections);
    fill(&Choices::lost_cache);
    fill(&Choices::shutdown_timeout);
    fill(&Choices::lease);
    fill(&Choices::block_size);
    fill(&Choices::read_only);
    return both;
}

Policy policy_of(const Choices& choices) { return changed(Policy{}, choices); }

Policy changed(const Policy& before, const Choices& choices) {
    Policy policy = before;
    policy.request_timeout = choices.timeout.value_or(policy.request_timeout);
    policy.dead_after = choices.dead_after.value_or(policy.dead_after);
    policy.probe_interval = choices.probe.value_or(policy.probe_interval);
    policy.connections = choices.connections.value_or(policy.connections);
    policy.lost_cache = choices.lost_cache.value_or(policy.lost_cache);
    policy.shutdown_timeout = choices.shutdown_timeout.value_or(policy.shutdown_timeout);
    policy.lease = choices.lease.value_or(policy.lease);
    return policy;
}

std::string describe(const Policy& policy) {
    return fmt::format(
        "timeout {} s, dead-after {} s, probe {} s, connections {}{}, lost-cache {}, "
        "shutdown-timeout {} s, lease {}",
        policy.request_timeout.count(), policy.dead_after.count(), policy.probe_interval.count(),
        policy.connections, policy.connections > 1 ? " (1 is used)" : "",
        policy.lost_cache == LostCache::fail ? "fail" : "continue", policy.shutdown_timeout.count(),
        policy.lease == LeaseCare::leave ? "leave" : "renew");
}

}  // namespace holdfast::client
