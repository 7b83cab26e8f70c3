// "key value" lines. Addresses and names are in hex: both may contain any byte, and only this program reads
// them.

#include "client/control/device_record.hh"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstring>
#include <iterator>
#include <utility>

#include "common/protocol/uuid.hh"
#include "common/text/hex.hh"
#include "common/text/number.hh"
#include "common/text/printable.hh"
#include "common/text/sha256.hh"
#include "common/text/text.hh"

namespace holdfast::client {
namespace {

using std::chrono::milliseconds;

// Two prefixes, so that an older version, which expects a session in an identifier, ignores a device whose
// identifier is a digest.
constexpr std::string_view digest_prefix = "holdfast-device:";
constexpr std::string_view session_prefix = "holdfast:";
constexpr std::string_view version_line = "holdfast-record 1";

bool read_hex_text(std::string_view digits, std::string& text) {
    std::vector<std::uint8_t> letters(digits.size() / 2);
    if (!read_hex(digits, letters)) return false;
    text.assign(letters.begin(), letters.end());
    return true;
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

struct SoftwareWord {
    DhcpSoftware software;
    std::string_view word;
};
constexpr std::array software_words{SoftwareWord{DhcpSoftware::ipconfig, "ipconfig"},
                                    SoftwareWord{DhcpSoftware::networkd, "networkd"},
                                    SoftwareWord{DhcpSoftware::dhclient, "dhclient"}};

// "lease INTERFACE ADDRESS TYPE HARDWARE HOSTNAME": the hardware address and the name in hex, "-" for an
// empty name. "lease_software WORD" follows unless the word is ipconfig: older versions skip the line.
std::string lease_lines(const LeaseRecord& lease) {
    const DhcpClient& client = lease.client;
    const std::string_view hostname = client.hostname;
    const std::string_view software =
        std::ranges::find(software_words, client.software, &SoftwareWord::software)->word;
    return fmt::format("lease {} {} {} {} {}\n{}", lease.interface, lease.address, client.hardware_type,
                       hex_of(client.hardware.data(), client.hardware_length),
                       hostname.empty() ? "-" : hex_of(hostname.data(), hostname.size()),
                       client.software == DhcpSoftware::ipconfig
                           ? std::string()
                           : fmt::format("lease_software {}\n", software));
}

bool take_lease_software(std::string_view word, std::optional<LeaseRecord>& lease) {
    const auto* const known = std::ranges::find(software_words, word, &SoftwareWord::word);
    if (!lease || known == software_words.end()) return false;
    lease->client.software = known->software;
    return true;
}

std::optional<LeaseRecord> read_lease(std::string_view rest) {
    LeaseRecord lease;
    lease.interface = take_until(rest, ' ');
    const auto address = number_of<Ipv4>(take_until(rest, ' '));
    const auto type = number_of<std::uint8_t>(take_until(rest, ' '));
    const std::string_view hardware = take_until(rest, ' ');
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
    const auto host = nbd::read_uuid(take_until(rest, ' '));
    const auto boot = nbd::read_uuid(take_until(rest, ' '));
    const auto attachment = number_of<std::uint64_t>(rest);
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
    const std::string_view address = take_until(rest, ' ');
    const std::string_view name = take_until(rest, ' ');
    Target target;
    const std::string_view text = take_until(rest, ' ');
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

// Readers of values in a record: false for an invalid value.
template <class Number>
bool take_number(std::string_view text, Number& value) {
    const auto number = number_of<Number>(text);
    if (number) value = *number;
    return number.has_value();
}

template <class Duration>
bool take_duration(std::string_view text, Duration& value) {
    const auto number = number_of<std::int64_t>(text);
    if (number) value = Duration{*number};
    return number.has_value();
}

// Takes one of two words: true for `yes`.
bool take_word_of(std::string_view text, std::string_view yes, std::string_view no, bool& value) {
    value = text == yes;
    return value || text == no;
}

bool take_session(std::string_view text, nbd::Uuid& value) {
    const auto session = nbd::read_uuid(text);
    value = session.value_or(nbd::Uuid{});
    return session.has_value();
}

bool take_lost_cache(std::string_view text, Policy& policy) {
    bool fail = false;
    const bool valid = take_word_of(text, "fail", "continue", fail);
    policy.lost_cache = fail ? LostCache::fail : LostCache::go_on;
    return valid;
}

bool take_lease_care(std::string_view text, Policy& policy) {
    bool leave = false;
    const bool valid = take_word_of(text, "leave", "renew", leave);
    policy.lease = leave ? LeaseCare::leave : LeaseCare::renew;
    return valid;
}

bool take_target(std::string_view text, std::vector<Target>& targets) {
    auto target = read_target(text);
    if (target) targets.push_back(std::move(*target));
    return target.has_value();
}

struct RecordLine {
    std::string_view key;
    bool (*take)(DeviceRecord& record, std::string_view value);
};
constexpr RecordLine record_lines[] = {
    {"index", [](DeviceRecord& to, std::string_view value) { return take_number(value, to.index); }},
    {"identifier",
     [](DeviceRecord& to, std::string_view value) {
         to.identifier = value;
         return is_identifier(value);
     }},
    {"session", [](DeviceRecord& to, std::string_view value) { return take_session(value, to.session); }},
    {"block_size",
     [](DeviceRecord& to, std::string_view value) { return take_number(value, to.block_size); }},
    {"server_flags",
     [](DeviceRecord& to, std::string_view value) { return take_number(value, to.server_flags); }},
    {"connections",
     [](DeviceRecord& to, std::string_view value) { return take_number(value, to.policy.connections); }},
    {"request_timeout",
     [](DeviceRecord& to, std::string_view value) {
         return take_duration(value, to.policy.request_timeout);
     }},
    {"dead_after",
     [](DeviceRecord& to, std::string_view value) { return take_duration(value, to.policy.dead_after); }},
    {"probe_interval",
     [](DeviceRecord& to, std::string_view value) { return take_duration(value, to.policy.probe_interval); }},
    {"lost_cache",
     [](DeviceRecord& to, std::string_view value) { return take_lost_cache(value, to.policy); }},
    {"shutdown_timeout",
     [](DeviceRecord& to, std::string_view value) {
         return take_duration(value, to.policy.shutdown_timeout);
     }},
    {"lease_care",
     [](DeviceRecord& to, std::string_view value) { return take_lease_care(value, to.policy); }},
    {"carries_root",
     [](DeviceRecord& to, std::string_view value) { return take_word_of(value, "1", "0", to.carries_root); }},
    {"may_be_lost",
     [](DeviceRecord& to, std::string_view value) { return take_word_of(value, "1", "0", to.may_be_lost); }},
    {"attached_at",
     [](DeviceRecord& to, std::string_view value) { return take_duration(value, to.attached_at); }},
    {"lease",
     [](DeviceRecord& to, std::string_view value) {
         to.lease = read_lease(value);
         return to.lease.has_value();
     }},
    {"lease_software",
     [](DeviceRecord& to, std::string_view value) { return take_lease_software(value, to.lease); }},
    {"host",
     [](DeviceRecord& to, std::string_view value) {
         to.host = read_host(value);
         return to.host.has_value();
     }},
    {"target", [](DeviceRecord& to, std::string_view value) { return take_target(value, to.targets); }},
};

// Returns false for a line with an invalid value; unknown lines are skipped.
bool take_record_line(DeviceRecord& record, std::string_view key, std::string_view value) {
    const auto* const line = std::ranges::find(record_lines, key, &RecordLine::key);
    return line == std::end(record_lines) || line->take(record, value);
}

// Readers of values that change; an invalid value counts as 0 or empty.
template <std::integral Number>
void read_value(std::string_view text, Number& value) noexcept {
    value = number_of<Number>(text).value_or(0);
}
void read_value(std::string_view text, milliseconds& value) noexcept {
    value = milliseconds{number_of<std::int64_t>(text).value_or(0)};
}
void read_value(std::string_view text, bool& value) noexcept { value = text == "1"; }

// Reads the value of a line into the member of its key. Returns false if the table has no such key.
template <class Table, class State>
bool take_member(const Table& table, State& state, std::string_view key, std::string_view text) noexcept {
    for (const auto& [name, field] : table) {
        if (key != name) continue;
        read_value(text, state.*field);
        return true;
    }
    return false;
}

bool take_live_text(LiveState& live, std::string_view key, std::string_view text) noexcept {
    if (key == "link_socket")
        live.link_socket = text;
    else if (key == "boot_identity")
        live.boot_identity = nbd::read_uuid(text);
    else if (key == "export_identity")
        live.export_identity = text;
    else if (key == "last_error")
        live.last_error = text;
    else
        return false;
    return true;
}

bool take_lease_line(LeaseState& lease, std::string_view key, std::string_view text) noexcept {
    if (take_member(lease_numbers, lease, key, text)) return true;
    if (key == "lease_obtained_at")
        read_value(text, lease.obtained_at);
    else if (key == "lease_renewals")
        read_value(text, lease.renewals);
    else if (key == "lease_problem")
        lease.problem = text;
    else
        return false;
    return true;
}

// Completes the session from an identifier of an older version. Returns the missing or invalid part; nullptr
// if the device is complete.
const char* check(KnownDevice& known) {
    if (known.record.identifier.empty()) return "no identifier";
    if (const auto session = session_in(known.record.identifier))
        known.record.session = *session;
    else if (known.record.identifier != identifier_of(known.record.session))
        return "the session does not match the identifier";
    if (known.record.targets.empty()) return "no server";
    if (known.live.size == 0) return "no size";
    return nullptr;
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
    const std::string_view key = take_until(line, ' ');
    return take_member(live_numbers, live, key, line) || take_member(live_small_numbers, live, key, line) ||
           take_member(live_durations, live, key, line) || take_member(live_flags, live, key, line) ||
           take_live_text(live, key, line) || take_lease_line(live.lease, key, line);
}

void take_lines(LiveState& live, std::string_view lines) noexcept {
    while (!lines.empty()) take_line(live, take_until(lines, '\n'));
}

std::string to_lines(const DeviceRecord& record) {
    const Policy& policy = record.policy;
    std::string lines = fmt::format(
        "{}\nindex {}\nidentifier {}\nsession {}\nblock_size {}\nserver_flags {}\nconnections "
        "{}\nrequest_timeout {}\n"
        "dead_after {}\nprobe_interval {}\nlost_cache {}\nshutdown_timeout {}\nlease_care {}\n"
        "carries_root {}\nmay_be_lost {}\nattached_at {}\n",
        version_line, record.index, record.identifier, nbd::digits_of(record.session), record.block_size,
        record.server_flags, policy.connections, policy.request_timeout.count(), policy.dead_after.count(),
        policy.probe_interval.count(), policy.lost_cache == LostCache::fail ? "fail" : "continue",
        policy.shutdown_timeout.count(), policy.lease == LeaseCare::leave ? "leave" : "renew",
        record.carries_root ? 1 : 0, record.may_be_lost ? 1 : 0, record.attached_at.count());
    if (record.lease) lines += lease_lines(*record.lease);
    if (record.host) lines += host_line(*record.host);
    for (const Target& target : record.targets) lines += target_line(target);
    return lines;
}

std::expected<KnownDevice, std::string> read_known_device(std::string_view lines) {
    KnownDevice known;
    if (take_until(lines, '\n') != version_line)
        return std::unexpected("written by another version of holdfast-client");
    while (!lines.empty()) {
        std::string_view line = take_until(lines, '\n');
        if (take_line(known.live, line)) continue;
        const std::string_view whole = line;
        const std::string_view key = take_until(line, ' ');
        if (!take_record_line(known.record, key, line))
            return std::unexpected(fmt::format("invalid line: {}", printable(whole)));
    }
    if (const char* const wrong = check(known)) return std::unexpected(wrong);
    if (known.live.target >= known.record.targets.size()) known.live.target = 0;
    return known;
}

}  // namespace holdfast::client
