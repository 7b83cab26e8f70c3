// A table of the choices: each with its parser and its error text.

#include "client/config/choices.hh"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "common/text/printable.hh"

namespace holdfast::client {
namespace {

using std::chrono::seconds;

bool read_number(std::string_view text, std::uint32_t least, std::uint32_t most,
                 std::optional<std::uint32_t>& into) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return false;
    if (value < least || value > most) return false;
    into = value;
    return true;
}

bool read_seconds(std::string_view text, std::uint32_t least, std::uint32_t most,
                  std::optional<seconds>& into) {
    std::optional<std::uint32_t> value;
    if (!read_number(text, least, most, value)) return false;
    into = seconds{*value};
    return true;
}

bool read_block_size(std::string_view text, Choices& choices) {
    std::optional<std::uint32_t> value;
    if (!read_number(text, 512, 4096, value) || (*value & (*value - 1)) != 0) return false;
    choices.block_size = value;
    return true;
}

bool read_lost_cache(std::string_view text, Choices& choices) {
    if (text != "continue" && text != "fail") return false;
    choices.lost_cache = text == "fail" ? LostCache::fail : LostCache::go_on;
    return true;
}

// Rejects timeouts under ten seconds, except 0: too short for a server to return.
bool read_shutdown_timeout(std::string_view text, Choices& choices) {
    return read_seconds(text, 0, 0, choices.shutdown_timeout) ||
           read_seconds(text, 10, 86'400, choices.shutdown_timeout);
}

bool read_lease(std::string_view text, Choices& choices) {
    if (text != "renew" && text != "leave") return false;
    choices.lease = text == "leave" ? LeaseCare::leave : LeaseCare::renew;
    return true;
}

bool read_read_only(std::string_view text, Choices& choices) {
    const bool yes = text == "true" || text == "yes" || text == "1";
    if (!yes && text != "false" && text != "no" && text != "0") return false;
    choices.read_only = yes;
    return true;
}

struct Row {
    std::string_view name;
    bool (*read)(std::string_view, Choices&);
    std::string_view takes;
};

constexpr std::array rows{
    Row{"timeout",
        [](std::string_view text, Choices& choices) {
            return read_seconds(text, 0, 86'400, choices.timeout);
        },
        "a whole number of seconds from 0 to 86400"},
    Row{"dead-after",
        [](std::string_view text, Choices& choices) {
            return read_seconds(text, 3, 3600, choices.dead_after);
        },
        "a whole number of seconds from 3 to 3600"},
    Row{"probe",
        [](std::string_view text, Choices& choices) { return read_seconds(text, 0, 3600, choices.probe); },
        "a whole number of seconds from 0 to 3600"},
    Row{"wait",
        [](std::string_view text, Choices& choices) { return read_seconds(text, 0, 86'400, choices.wait); },
        "a whole number of seconds from 0 to 86400"},
    Row{"connections",
        [](std::string_view text, Choices& choices) { return read_number(text, 1, 8, choices.connections); },
        "a whole number from 1 to 8"},
    Row{"lost-cache", read_lost_cache, "continue or fail"},
    Row{"shutdown-timeout", read_shutdown_timeout, "0, or a whole number of seconds from 10 to 86400"},
    Row{"lease", read_lease, "renew or leave"},
    Row{"block-size", read_block_size, "512, 1024, 2048 or 4096"},
    Row{"read-only", read_read_only, "true or false"},
};

}  // namespace

std::expected<bool, std::string> choose(Choices& choices, std::string_view name, std::string_view value) {
    const auto row = std::ranges::find(rows, name, &Row::name);
    if (row == rows.end()) return false;
    if (row->read(value, choices)) return true;
    if (value.empty()) return std::unexpected{fmt::format("takes {}; nothing is given", row->takes)};
    return std::unexpected{fmt::format("takes {}, not {}", row->takes, printable(value))};
}

Choices over(const Choices& above, const Choices& below) {
    Choices both = above;
    const auto fill = [&](auto Choices::*choice) {
        if (!(both.*choice)) both.*choice = below.*choice;
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
