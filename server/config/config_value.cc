// Conversions of values that the tables in config_keys.cc share; each error message says how to correct the
// value.

#include "server/config/config_value.hh"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <limits>

#include "common/access/access.hh"
#include "common/protocol/constants.hh"
#include "common/text/lower_case.hh"
#include "common/text/number.hh"
#include "common/text/text.hh"

namespace holdfast::server {
namespace {

// Describes the most common mistakes; empty if the value shows none of them.
std::string_view clue(std::string_view value) {
    const std::string lower = in_lower_case(std::string(value));
    constexpr std::array<std::string_view, 4> words{"true", "yes", "false", "no"};
    if (lower != value && std::ranges::find(words, lower) != words.end()) return "; write it in lower case";
    if (value.find(" #") != std::string_view::npos || value.find(" ;") != std::string_view::npos) {
        return "; put comments on their own lines";
    }
    if (value.starts_with('"') || value.starts_with('\'')) return "; write values without quotes";
    return "";
}

// Whether the text is a link-local address and the interface that it belongs to: fe80::1%eth0.
bool is_zoned_address(std::string_view text) {
    constexpr std::size_t longest_interface = 15;  // IFNAMSIZ without its NUL
    const std::size_t percent = text.find('%');
    if (percent == std::string_view::npos) return false;
    const std::string_view zone = text.substr(percent + 1);
    const auto address = parse_address(text.substr(0, percent));
    const bool link_local = address && address->bytes[0] == 0xfe && (address->bytes[1] & 0xc0) == 0x80;
    const bool printable =
        std::ranges::all_of(zone, [](char c) { return c > ' ' && c <= '~' && c != '/' && c != '%'; });
    return link_local && !zone.empty() && zone.size() <= longest_interface && printable;
}

}  // namespace

bool is_host(std::string_view text) {
    constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
    constexpr std::size_t longest = 253;
    if (parse_address(text) || is_zoned_address(text)) return true;
    // Digits and dots that form no address are a mistyped address, not a name.
    const bool numeric = text.find_first_not_of("0123456789.") == std::string_view::npos;
    return !numeric && text.size() <= longest && text.find_first_not_of(letters) == std::string_view::npos;
}

void ConfigValue::error(std::string_view text) {
    wrong_ = true;
    errors_.push_back({entry_.position, fmt::format("{}: {}", entry_.key, text)});
}

void ConfigValue::warning(std::string_view text) {
    warnings_.push_back({entry_.position, fmt::format("{}: {}", entry_.key, text)});
}

bool ConfigValue::boolean() {
    const std::string& value = entry_.value;
    if (value == "true" || value == "yes" || value == "1") return true;
    if (value != "false" && value != "no" && value != "0") {
        error(fmt::format("\"{}\" is neither true nor false{}", value, clue(value)));
    }
    return false;
}

std::uint64_t ConfigValue::number(std::uint64_t least, std::uint64_t most) {
    const std::optional<std::uint64_t> value = number_of<std::uint64_t>(entry_.value);
    if (value && *value >= least && *value <= most) return *value;
    error(
        fmt::format("\"{}\" is not a number from {} to {}{}", entry_.value, least, most, clue(entry_.value)));
    return least;
}

std::uint16_t ConfigValue::port() {
    if (entry_.value == "nbd") return nbd::default_port;  // service name in /etc/services
    return static_cast<std::uint16_t>(number(1, 65535));
}

std::string ConfigValue::absolute_path() {
    if (entry_.value.starts_with('/')) return entry_.value;
    error(fmt::format("\"{}\" is not an absolute path; it must begin with \"/\"{}", entry_.value,
                      clue(entry_.value)));
    return {};
}

std::vector<std::string> ConfigValue::addresses() {
    std::vector<std::string> hosts;
    std::string_view rest = entry_.value;
    while (!rest.empty()) {
        std::string_view host = trimmed(take_until(rest, ','));
        if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
        if (!is_host(host)) {
            error(
                fmt::format("\"{}\" is not an address{}; separate addresses by commas, set the port with its "
                            "own key, leave the value empty for all addresses",
                            host, clue(entry_.value)));
        } else if (std::ranges::find(hosts, host) == hosts.end()) {
            hosts.emplace_back(host);
        }
    }
    return hosts;
}

void ConfigValue::refuse_if_true(std::string_view why) {
    if (boolean()) error(fmt::format("not supported by holdfast-server: {}", why));
}

void ConfigValue::refuse_if_set(std::string_view why) {
    if (!empty()) error(fmt::format("not supported by holdfast-server: {}", why));
}

void ConfigValue::warn_not_needed(std::string_view why) {
    warning(fmt::format("not needed by holdfast-server: {}", why));
}

void ConfigValue::warn_not_supported(std::string_view why) {
    warning(fmt::format("not supported by holdfast-server: {}", why));
}

}  // namespace holdfast::server
