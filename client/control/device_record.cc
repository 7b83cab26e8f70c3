// "key value" lines. Addresses and names are in hex: both may contain any byte, and only this program reads
// them.

#include "client/control/device_record.hh"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <utility>

#include "common/protocol/uuid.hh"
#include "common/text/hex.hh"
#include "common/text/printable.hh"
#include "common/text/sha256.hh"

namespace holdfast::client {
namespace {

using std::chrono::milliseconds;

// Two prefixes, so that an older version, which expects a session in an identifier, ignores a device whose
// identifier is a digest.
constexpr std::string_view digest_prefix = "holdfast-device:";
constexpr std::string_view session_prefix = "holdfast:";
constexpr std::string_view version_line = "holdfast-record 1";

template <class Number>
std::optional<Number> number_in(std::string_view text) noexcept {
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
    return value;
}

bool read_hex_text(std::string_view digits, std::string& text) {
    std::vector<std::uint8_t> letters(digits.size() / 2);
    if (!read_hex(digits, letters)) return false;
    text.assign(letters.begin(), letters.end());
    return true;
}

std::string_view take_word(std::string_view& rest, char end) noexcept {
    const std::size_t at = rest.find(end);
    const std::string_view head = rest.substr(0, at);
    rest = at == std::string_view::npos ? std::string_view{} : rest.substr(at + 1);
    return head;
}

// A member of LiveState or LeaseState, and its key in the lines.
template <class State, class Value>
struct Field {
    std::string_view key;
    Value State::*field;
};

constexpr std::array live_numbers{
    Field{"size", &LiveState::size},
    Field{"reconnects", &LiveState::reconnects},
    Field{"cache_lost", &LiveState::cache_lost},
    Field{"request_limit", &LiveState::request_limit},
    Field{"largest_request", &LiveState::largest_request},
    Field{"sectors_before", &LiveState::sectors_before},
};
constexpr std::array live_small_numbers{
    Field{"server_in_use", &LiveState::target},
    Field{"server_of_link", &LiveState::linked_target},
    Field{"generation", &LiveState::generation},
};
constexpr std::array live_durations{
    Field{"link_changed_at", &LiveState::link_changed_at}, Field{"last_outage", &LiveState::last_outage},
    Field{"longest_outage", &LiveState::longest_outage},   Field{"longest_stall", &LiveState::longest_stall},
    Field{"elsewhere_after", &LiveState::elsewhere_after}, Field{"last_error_at", &LiveState::last_error_at},
};
constexpr std::array live_flags{
    Field{"session_known", &LiveState::session_known},
    Field{"host_fenced", &LiveState::host_fenced},
    Field{"writes_stable", &LiveState::writes_stable},
    Field{"link_up", &LiveState::link_up},
};

constexpr std::array lease_numbers{
    Field{"lease_server", &LeaseState::server},
    Field{"lease_seconds", &LeaseState::seconds},
    Field{"lease_renew_after", &LeaseState::renew_after},
    Field{"lease_rebind_after", &LeaseState::rebind_after},
};

// "lease INTERFACE ADDRESS TYPE HARDWARE HOSTNAME": the hardware address and the name in hex, "-" for an
// empty name.
std::string lease_line(const LeaseRecord& lease) {
    const DhcpClient& client = lease.client;
    const std::string_view hostname = client.hostname;
    return fmt::format("lease {} {} {} {} {}\n", lease.interface, lease.address, client.hardware_type,
                       hex_of(client.hardware.data(), client.hardware_length),
                       hostname.empty() ? "-" : hex_of(hostname.data(), hostname.size()));
}

std::optional<LeaseRecord> read_lease(std::string_view rest) {
    LeaseRecord lease;
    lease.interface = take_word(rest, ' ');
    const auto address = number_in<Ipv4>(take_word(rest, ' '));
    const auto type = number_in<std::uint8_t>(take_word(rest, ' '));
    const std::string_view hardware = take_word(rest, ' ');
    std::string hostname;
    if (rest != "-" && !read_hex_text(rest, hostname)) return std::nullopt;
    if (lease.interface.empty() || !address || !type || hardware.size() / 2 > lease.client.hardware.size())
        return std::nullopt;
    lease.address = *address;
    lease.client.hardware_type = *type;
    lease.client.hardware_length = static_cast<std::uint8_t>(hardware.size() / 2);
    lease.client.hostname = hostname;
    if (!read_hex(hardware, std::span(lease.client.hardware).first(lease.client.hardware_length)))
        return std::nullopt;
    return lease;
}

// "host HOST BOOT ATTACHMENT"
std::string host_line(const nbd::HostRequest& host) {
    return fmt::format("host {} {} {}\n", nbd::digits_of(host.host), nbd::digits_of(host.boot),
                       host.attachment);
}

std::optional<nbd::HostRequest> read_host(std::string_view rest) {
    const auto host = nbd::read_uuid(take_word(rest, ' '));
    const auto boot = nbd::read_uuid(take_word(rest, ' '));
    const auto attachment = number_in<std::uint64_t>(rest);
    if (!host || !boot || !attachment) return std::nullopt;
    return nbd::HostRequest{*host, *boot, *attachment, 0};
}

// "target ADDRESS NAME TEXT URI": all but the URI in hex, "-" for an empty name.
std::string target_line(const Target& target) {
    const std::string name = hex_of(target.export_name.data(), target.export_name.size());
    return fmt::format("target {} {} {} {}\n", hex_of(&target.endpoint.address, target.endpoint.length),
                       name.empty() ? "-" : name,
                       hex_of(target.endpoint.text.data(), target.endpoint.text.size()), target.uri);
}

std::optional<Target> read_target(std::string_view rest) {
    const std::string_view address = take_word(rest, ' ');
    const std::string_view name = take_word(rest, ' ');
    Target target;
    const std::string_view text = take_word(rest, ' ');
    if (!read_hex_text(text, target.endpoint.text)) return std::nullopt;
    target.uri = rest;
    if (address.empty() || address.size() / 2 > sizeof target.endpoint.address) return std::nullopt;
    target.endpoint.length = static_cast<socklen_t>(address.size() / 2);
    auto* const bytes = reinterpret_cast<std::uint8_t*>(&target.endpoint.address);
    if (!read_hex(address, {bytes, target.endpoint.length})) return std::nullopt;
    if (name != "-" && !read_hex_text(name, target.export_name)) return std::nullopt;
    return target;
}

std::optional<nbd::Uuid> uuid_after(std::string_view prefix, std::string_view text) noexcept {
    if (!text.starts_with(prefix)) return std::nullopt;
    return nbd::read_uuid(text.substr(prefix.size()));
}

// Returns false for a line with an invalid value; unknown lines are skipped.
bool take_record_line(DeviceRecord& record, std::string_view key, std::string_view value) {
    const auto seconds_into = [value](std::chrono::seconds& field) {
        const auto number = number_in<std::int64_t>(value);
        if (number) field = std::chrono::seconds{*number};
        return number.has_value();
    };
    const auto into = [value]<class Number>(Number& field) {
        const auto number = number_in<Number>(value);
        if (number) field = *number;
        return number.has_value();
    };
    if (key == "index") return into(record.index);
    if (key == "block_size") return into(record.block_size);
    if (key == "server_flags") return into(record.server_flags);
    if (key == "connections") return into(record.policy.connections);
    if (key == "request_timeout") return seconds_into(record.policy.request_timeout);
    if (key == "dead_after") return seconds_into(record.policy.dead_after);
    if (key == "probe_interval") return seconds_into(record.policy.probe_interval);
    if (key == "shutdown_timeout") return seconds_into(record.policy.shutdown_timeout);
    if (key == "carries_root") {
        record.carries_root = value == "1";
        return value == "1" || value == "0";
    }
    if (key == "identifier") {
        record.identifier = value;
        return is_identifier(value);
    }
    if (key == "session") {
        const auto session = nbd::read_uuid(value);
        record.session = session.value_or(nbd::Uuid{});
        return session.has_value();
    }
    if (key == "lost_cache") {
        record.policy.lost_cache = value == "fail" ? LostCache::fail : LostCache::go_on;
        return value == "fail" || value == "continue";
    }
    if (key == "attached_at") {
        const auto number = number_in<std::int64_t>(value);
        record.attached_at = Monotonic{number.value_or(0)};
        return number.has_value();
    }
    if (key == "lease_care") {
        record.policy.lease = value == "leave" ? LeaseCare::leave : LeaseCare::renew;
        return value == "leave" || value == "renew";
    }
    if (key == "lease") {
        record.lease = read_lease(value);
        return record.lease.has_value();
    }
    if (key == "host") {
        record.host = read_host(value);
        return record.host.has_value();
    }
    if (key == "target") {
        auto target = read_target(value);
        if (!target) return false;
        record.targets.push_back(std::move(*target));
    }
    return true;
}

}  // namespace

std::optional<nbd::Uuid> session_in(std::string_view identifier) noexcept {
    return uuid_after(session_prefix, identifier);
}

std::string identifier_of(const nbd::Uuid& session) {
    const auto digest = sha256(fmt::format("holdfast device 1\n{}\n", nbd::digits_of(session)));
    nbd::Uuid start{};
    std::copy_n(digest.begin(), start.size(), start.begin());
    return fmt::format("{}{}", digest_prefix, nbd::digits_of(start));
}

bool is_identifier(std::string_view identifier) noexcept {
    return uuid_after(digest_prefix, identifier) || session_in(identifier);
}

std::string_view shortened(std::string_view identifier) noexcept {
    constexpr std::size_t shown_digits = 8;
    return is_identifier(identifier) ? identifier.substr(0, identifier.find(':') + 1 + shown_digits)
                                     : identifier;
}

void add_lines(LiveLines& lines, const LiveState& live) {
    for (const auto& [key, field] : live_numbers) lines.add("{} {}\n", key, live.*field);
    for (const auto& [key, field] : live_small_numbers) lines.add("{} {}\n", key, live.*field);
    for (const auto& [key, field] : live_durations) lines.add("{} {}\n", key, (live.*field).count());
    for (const auto& [key, field] : live_flags) lines.add("{} {}\n", key, live.*field ? 1 : 0);
    lines.add("link_socket {}\n", live.link_socket);
    if (live.boot_identity) lines.add("boot_identity {}\n", nbd::digits_of(*live.boot_identity));
    lines.add("export_identity {}\n", live.export_identity);
    lines.add("last_error {}\n", live.last_error);
    for (const auto& [key, field] : lease_numbers) lines.add("{} {}\n", key, live.lease.*field);
    lines.add("lease_obtained_at {}\nlease_renewals {}\n", live.lease.obtained_at.count(),
              live.lease.renewals);
    lines.add("lease_problem {}\n", live.lease.problem);
}

bool take_line(LiveState& live, std::string_view line) noexcept {
    const std::string_view key = take_word(line, ' ');
    for (const auto& [name, field] : live_numbers)
        if (key == name) return live.*field = number_in<std::uint64_t>(line).value_or(0), true;
    for (const auto& [name, field] : live_small_numbers)
        if (key == name) return live.*field = number_in<std::uint32_t>(line).value_or(0), true;
    for (const auto& [name, field] : live_durations)
        if (key == name) return live.*field = milliseconds{number_in<std::int64_t>(line).value_or(0)}, true;
    for (const auto& [name, field] : live_flags)
        if (key == name) return live.*field = line == "1", true;
    if (key == "link_socket") return live.link_socket = line, true;
    if (key == "boot_identity") return live.boot_identity = nbd::read_uuid(line), true;
    if (key == "export_identity") return live.export_identity = line, true;
    if (key == "last_error") return live.last_error = line, true;
    for (const auto& [name, field] : lease_numbers)
        if (key == name) return live.lease.*field = number_in<std::uint32_t>(line).value_or(0), true;
    if (key == "lease_obtained_at")
        return live.lease.obtained_at = milliseconds{number_in<std::int64_t>(line).value_or(0)}, true;
    if (key == "lease_renewals")
        return live.lease.renewals = number_in<std::uint64_t>(line).value_or(0), true;
    if (key == "lease_problem") return live.lease.problem = line, true;
    return false;
}

void take_lines(LiveState& live, std::string_view lines) noexcept {
    while (!lines.empty()) take_line(live, take_word(lines, '\n'));
}

std::string to_lines(const DeviceRecord& record) {
    const Policy& policy = record.policy;
    std::string lines = fmt::format(
        "{}\nindex {}\nidentifier {}\nsession {}\nblock_size {}\nserver_flags {}\nconnections "
        "{}\nrequest_timeout {}\n"
        "dead_after {}\nprobe_interval {}\nlost_cache {}\nshutdown_timeout {}\nlease_care {}\n"
        "carries_root {}\nattached_at {}\n",
        version_line, record.index, record.identifier, nbd::digits_of(record.session), record.block_size,
        record.server_flags, policy.connections, policy.request_timeout.count(), policy.dead_after.count(),
        policy.probe_interval.count(), policy.lost_cache == LostCache::fail ? "fail" : "continue",
        policy.shutdown_timeout.count(), policy.lease == LeaseCare::leave ? "leave" : "renew",
        record.carries_root ? 1 : 0, record.attached_at.count());
    if (record.lease) lines += lease_line(*record.lease);
    if (record.host) lines += host_line(*record.host);
    for (const Target& target : record.targets) lines += target_line(target);
    return lines;
}

std::expected<KnownDevice, std::string> read_known_device(std::string_view lines) {
    KnownDevice known;
    if (take_word(lines, '\n') != version_line)
        return std::unexpected("it was written by another version of holdfast-client");
    while (!lines.empty()) {
        std::string_view line = take_word(lines, '\n');
        if (take_line(known.live, line)) continue;
        const std::string_view whole = line;
        const std::string_view key = take_word(line, ' ');
        if (!take_record_line(known.record, key, line))
            return std::unexpected(fmt::format("a line of it makes no sense: {}", printable(whole)));
    }
    if (known.record.identifier.empty()) return std::unexpected("it names no identifier");
    if (const auto session = session_in(known.record.identifier))
        known.record.session = *session;
    else if (known.record.identifier != identifier_of(known.record.session))
        return std::unexpected("it names another session than its identifier");
    if (known.record.targets.empty()) return std::unexpected("it names no server");
    if (known.live.size == 0) return std::unexpected("it names no size");
    if (known.live.target >= known.record.targets.size()) known.live.target = 0;
    return known;
}

}  // namespace holdfast::client
