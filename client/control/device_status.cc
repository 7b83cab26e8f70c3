// Two lists name the text fields and the number fields; all formats iterate over them, so that a field is
// added in a single place.

#include "client/control/device_status.hh"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <utility>

#include "common/protocol/constants.hh"
#include "common/text/json.hh"
#include "common/text/number.hh"
#include "common/text/plural.hh"
#include "common/text/text.hh"

namespace holdfast::client {
namespace {

constexpr std::array state_words{
    std::pair{DeviceState::detached, "detached"},         std::pair{DeviceState::attached, "attached"},
    std::pair{DeviceState::reconnecting, "reconnecting"}, std::pair{DeviceState::unattended, "unattended"},
    std::pair{DeviceState::unknown, "unknown"},
};

struct TextField {
    const char* key;
    LineText DeviceStatus::*field;
};
constexpr std::array text_fields{
    TextField{"server", &DeviceStatus::server},
    TextField{"peer", &DeviceStatus::peer},
    TextField{"identifier", &DeviceStatus::identifier},
    TextField{"export_identity", &DeviceStatus::export_identity},
    TextField{"session", &DeviceStatus::session},
    TextField{"boot_identity", &DeviceStatus::boot_identity},
    TextField{"network", &DeviceStatus::network},
    TextField{"domain", &DeviceStatus::domain},
    TextField{"profile", &DeviceStatus::profile},
    TextField{"last_error", &DeviceStatus::last_error},
    TextField{"interface", &DeviceStatus::interface},
    TextField{"address", &DeviceStatus::address},
    TextField{"lease_problem", &DeviceStatus::lease_problem},
    TextField{"next_kernel", &DeviceStatus::next_kernel},
    TextField{"previous_kernel", &DeviceStatus::previous_kernel},
};

struct NumberField {
    const char* key;
    std::uint64_t DeviceStatus::*field;
};
constexpr std::array number_fields{
    NumberField{"size", &DeviceStatus::size},
    NumberField{"block_size", &DeviceStatus::block_size},
    NumberField{"flags", &DeviceStatus::flags},
    NumberField{"connections", &DeviceStatus::connections},
    NumberField{"servers", &DeviceStatus::servers},
    NumberField{"daemon_pid", &DeviceStatus::daemon_pid},
    NumberField{"attached_seconds", &DeviceStatus::attached_seconds},
    NumberField{"link_seconds", &DeviceStatus::link_seconds},
    NumberField{"adopted", &DeviceStatus::adopted},
    NumberField{"generation", &DeviceStatus::generation},
    NumberField{"reconnects", &DeviceStatus::reconnects},
    NumberField{"last_outage_ms", &DeviceStatus::last_outage_ms},
    NumberField{"longest_outage_ms", &DeviceStatus::longest_outage_ms},
    NumberField{"longest_stall_ms", &DeviceStatus::longest_stall_ms},
    NumberField{"last_error_seconds", &DeviceStatus::last_error_seconds},
    NumberField{"in_flight", &DeviceStatus::in_flight},
    NumberField{"in_flight_age_ms", &DeviceStatus::in_flight_age_ms},
    NumberField{"cache_lost", &DeviceStatus::cache_lost},
    NumberField{"lease_seconds", &DeviceStatus::lease_seconds},
    NumberField{"lease_left_seconds", &DeviceStatus::lease_left_seconds},
    NumberField{"lease_renewals", &DeviceStatus::lease_renewals},
    NumberField{"overlay_size", &DeviceStatus::overlay_size},
    NumberField{"overlay_used", &DeviceStatus::overlay_used},
    NumberField{"locked_kib", &DeviceStatus::locked_kib},
    NumberField{"resident_kib", &DeviceStatus::resident_kib},
};

std::uint64_t number_in(std::string_view text) { return number_of<std::uint64_t>(text).value_or(0); }

void add_one_line(StatusLines& lines, std::string_view text) {
    for (const char c : text)
        lines.append(c == '\n' || c == '\r' ? std::string_view(" ") : std::string_view(&c, 1));
}

DeviceState state_in(std::string_view word) {
    for (const auto& [state, candidate] : state_words)
        if (word == candidate) return state;
    // Written by another version of the program.
    return DeviceState::unknown;
}

void take_field(DeviceStatus& status, std::string_view key, std::string_view value) {
    if (key == "index") status.index = static_cast<std::uint32_t>(number_in(value));
    if (key == "read_only") status.read_only = value == "1";
    if (key == "state") status.state = state_in(value);
    for (const auto& [name, field] : text_fields)
        if (key == name) status.*field = value;
    for (const auto& [name, field] : number_fields)
        if (key == name) status.*field = number_in(value);
}

std::string reconnect_words(const DeviceStatus& status) {
    if (status.reconnects == 0) return "0";
    std::string words = std::to_string(status.reconnects);
    if (status.state == DeviceState::attached)
        words += fmt::format(", the last {} ago", duration_words(status.link_seconds));
    return words + fmt::format(", after {} (longest {})", short_duration_words(status.last_outage_ms),
                               short_duration_words(status.longest_outage_ms));
}

std::string fencing_words(const DeviceStatus& status) {
    if (status.session == std::string_view("fenced"))
        return fmt::format("fenced, generation {}: the server rejects the writes of older connections",
                           status.generation);
    if (status.session == std::string_view("reconnects"))
        return fmt::format(
            "reconnects, generation {}: only reconnects are fenced; after a forced detach or a reset of this "
            "machine an old write may still reach the disk",
            status.generation);
    return "unknown: the server does not support fencing; a write on an old connection may still reach the "
           "disk";
}

std::string lease_words(const DeviceStatus& status) {
    std::string words = fmt::format("{} on {}, ", status.address, status.interface);
    if (status.lease_seconds == 0xffffffff)
        words += "without expiry";
    else
        words += fmt::format("for {}, {} left", duration_words(status.lease_seconds),
                             duration_words(status.lease_left_seconds));
    return words + fmt::format(", renewed {}", counted(status.lease_renewals, "time"));
}

}  // namespace

const char* word_of(DeviceState state) noexcept {
    for (const auto& [candidate, word] : state_words)
        if (candidate == state) return word;
    return "?";
}

const char* fencing_word(bool session_known, bool host_fenced) noexcept {
    if (!session_known) return "unknown";
    return host_fenced ? "fenced" : "reconnects";
}

StatusLines to_lines(const DeviceStatus& status) {
    StatusLines lines = StatusLines::of("index {}\nstate {}\nread_only {}\n", status.index,
                                        word_of(status.state), status.read_only ? 1 : 0);
    for (const auto& [key, field] : text_fields) {
        lines.add("{} ", key);
        add_one_line(lines, (status.*field).view());
        lines.append("\n");
    }
    for (const auto& [key, field] : number_fields) lines.add("{} {}\n", key, status.*field);
    lines.append("\n");
    return lines;
}

DeviceStatus from_lines(std::string_view lines) {
    DeviceStatus status;
    while (!lines.empty()) {
        const std::string_view line = take_line(lines);
        const std::size_t blank = line.find(' ');
        if (blank != std::string_view::npos)
            take_field(status, line.substr(0, blank), line.substr(blank + 1));
    }
    return status;
}

namespace {

bool has_daemon(DeviceState state) {
    return state == DeviceState::attached || state == DeviceState::reconnecting;
}

// True for fields that are also in the public file.
bool is_public(std::string_view key) {
    return key == "server" || key == "link_seconds" || key == "reconnects" || key == "daemon_pid" ||
           key == "size" || key == "block_size" || key == "last_error";
}

// Lines of the text for a person.
class Rows {
public:
    explicit Rows(std::string headline) : text_(std::move(headline)) {}

    // `key` is empty in a row that continues the row before.
    void add(const char* key, std::string_view value) { text_ += fmt::format("\n  {:<11} {}", key, value); }
    void add_if_set(const char* key, const LineText& value) {
        if (!value.empty()) add(key, value);
    }
    // Continues the last line.
    void append(std::string_view text) { text_ += text; }
    [[nodiscard]] std::string text() && { return std::move(text_) + "\n"; }

private:
    std::string text_;
};

std::string headline(const DeviceStatus& status) {
    std::string begin = fmt::format("/dev/nbd{}: {}", status.index, word_of(status.state));
    switch (status.state) {
        case DeviceState::detached: return begin;
        case DeviceState::attached:
            // The public file has the time of the link, not of the attachment.
            return begin + (status.partial
                                ? fmt::format(", link up for {}", duration_words(status.link_seconds))
                                : fmt::format(" for {}", duration_words(status.attached_seconds)));
        case DeviceState::reconnecting:
            return begin + fmt::format(", link down for {}", duration_words(status.link_seconds));
        case DeviceState::unattended: return begin + " (connected, but no holdfast-client daemon is running)";
        case DeviceState::unknown:
            return begin + " (connected, but the daemon does not report whether the link is up)";
    }
    return begin;
}

void add_export(Rows& rows, const DeviceStatus& status) {
    if (!status.server.empty())
        rows.add("server", status.peer.empty() ? std::string(status.server.view())
                                               : fmt::format("{} ({})", status.server, status.peer));
    if (status.servers > 1) rows.append(fmt::format(" and {} more", status.servers - 1));
    rows.add("size", fmt::format("{} ({} bytes), blocks of {}{}", size_words(status.size), status.size,
                                 status.block_size, status.read_only ? ", read-only" : ""));
}

void add_session(Rows& rows, const DeviceStatus& status) {
    rows.add("flags", flag_words(status.flags));
    rows.add("disk", status.export_identity.empty()
                         ? "known by size and flags only: the server does not report a disk identity"
                         : status.export_identity.view());
    rows.add("session", fencing_words(status));
    if (status.servers > 1 && !status.read_only && status.session != std::string_view("unknown"))
        rows.add("",
                 "servers on other machines cannot fence late writes of this one; the client waits for "
                 "dead-after before it uses them, then the disk's replication must reject such writes");
}

void add_outages(Rows& rows, const DeviceStatus& status) {
    rows.add("reconnects", reconnect_words(status));
    if (status.longest_stall_ms > 0)
        rows.add("stall", fmt::format("longest {}", short_duration_words(status.longest_stall_ms)));
    if (status.in_flight > 0)
        rows.add("in flight",
                 fmt::format("{}{}", counted(status.in_flight, "request"),
                             status.in_flight_age_ms == 0
                                 ? ""
                                 : ", no answer for " + short_duration_words(status.in_flight_age_ms)));
    if (status.cache_lost > 0)
        rows.add("lost cache",
                 fmt::format("{}: a server's machine restarted while writes may have been unflushed",
                             counted(status.cache_lost, "time")));
}

void add_daemon(Rows& rows, const DeviceStatus& status) {
    if (!status.interface.empty()) rows.add("DHCP lease", lease_words(status));
    rows.add_if_set("", status.lease_problem);
    rows.add("daemon", fmt::format("pid {}, {} KiB locked, {} KiB resident", status.daemon_pid,
                                   status.locked_kib, status.resident_kib));
    rows.add_if_set("SELinux", status.domain);
    rows.add_if_set("AppArmor", status.profile);
}

// Adds the facts of the public file.
void add_public(Rows& rows, const DeviceStatus& status) {
    rows.add("reconnects", std::to_string(status.reconnects));
    rows.add("daemon", fmt::format("pid {}", status.daemon_pid));
}

}  // namespace

std::string to_text(const DeviceStatus& status) {
    Rows rows(headline(status));
    if (status.state == DeviceState::detached) return std::move(rows).text();
    add_export(rows, status);
    if (status.partial && status.daemon_pid != 0) add_public(rows, status);
    if (!status.partial && has_daemon(status.state)) {
        add_session(rows, status);
        add_outages(rows, status);
        add_daemon(rows, status);
    }
    if (status.overlay_size > 0)
        rows.add("overlay",
                 fmt::format(
                     "{} of changes of / in memory, {} free", size_words(status.overlay_used),
                     size_words(status.overlay_size - std::min(status.overlay_size, status.overlay_used))));
    rows.add_if_set("network", status.network);
    if (!status.next_kernel.empty()) {
        rows.add("next boot", fmt::format("kernel {}", status.next_kernel.view()));
        if (!status.previous_kernel.empty())
            rows.append(fmt::format(", fallback {}", status.previous_kernel.view()));
    }
    rows.add_if_set("last error", status.last_error);
    if (status.last_error_seconds > 0)
        rows.append(fmt::format(" ({} ago)", duration_words(status.last_error_seconds)));
    return std::move(rows).text();
}

HeartbeatLine heartbeat_line(std::chrono::milliseconds now) {
    return HeartbeatLine::of("heartbeat {:014}\n", now.count());
}

PublicLines public_lines(const DeviceStatus& status, std::chrono::milliseconds now,
                         std::chrono::milliseconds link_changed_at) {
    PublicLines lines(heartbeat_line(now).view());
    lines.add("state {}\nlink_changed {}\nreconnects {}\ndaemon_pid {}\nserver ", word_of(status.state),
              link_changed_at.count(), status.reconnects, status.daemon_pid);
    lines.append(status.server.view());
    lines.append("\n");
    return lines;
}

void take_public_lines(DeviceStatus& status, std::string_view lines, bool alive,
                       std::chrono::milliseconds now) {
    // The daemon writes the heartbeat every few seconds, and seldom blocks longer than an attempt to connect.
    constexpr std::chrono::milliseconds heartbeat_lasts{30'000};
    const std::uint64_t time = static_cast<std::uint64_t>(now.count());
    std::uint64_t heartbeat = 0;
    status.partial = true;
    status.state = DeviceState::unknown;
    while (!lines.empty()) {
        std::string_view value = take_line(lines);
        const std::string_view key = take_until(value, ' ');
        if (key == "heartbeat") heartbeat = number_in(value);
        if (key == "link_changed") status.link_seconds = (time - std::min(time, number_in(value))) / 1000;
        if (key == "state" || key == "reconnects" || key == "daemon_pid" || key == "server")
            take_field(status, key, value);
    }
    if (!alive) {
        status.state = DeviceState::unattended;
        status.daemon_pid = 0;
        return;
    }
    const std::uint64_t age = time - std::min(time, heartbeat);
    if (std::chrono::milliseconds{age} < heartbeat_lasts) return;
    status.state = DeviceState::unknown;
    status.last_error = LineText::of("no heartbeat from the daemon for {} s", age / 1000);
}

std::string to_json(const DeviceStatus& status) {
    std::string json = fmt::format(R"({{"device":"/dev/nbd{}","state":{},"read_only":{})", status.index,
                                   json_string(word_of(status.state)), status.read_only);
    for (const auto& [key, field] : text_fields)
        if (!status.partial || is_public(key))
            json += fmt::format(",\"{}\":{}", key, json_string(status.*field));
    for (const auto& [key, field] : number_fields)
        if (!status.partial || is_public(key)) json += fmt::format(",\"{}\":{}", key, status.*field);
    return json + "}";
}

std::string flag_words(std::uint64_t flags) {
    static constexpr std::array names{
        std::pair{nbd::flag_read_only, "read-only"},
        std::pair{nbd::flag_send_flush, "flush"},
        std::pair{nbd::flag_send_fua, "fua"},
        std::pair{nbd::flag_rotational, "rotational"},
        std::pair{nbd::flag_send_trim, "trim"},
        std::pair{nbd::flag_send_write_zeroes, "write-zeroes"},
        std::pair{nbd::flag_send_df, "df"},
        std::pair{nbd::flag_can_multi_conn, "multi-conn"},
        std::pair{nbd::flag_send_resize, "resize"},
        std::pair{nbd::flag_send_cache, "cache"},
        std::pair{nbd::flag_send_fast_zero, "fast-zero"},
    };
    std::string words;
    for (const auto& [bit, name] : names)
        if ((flags & bit) != 0) words += (words.empty() ? "" : " ") + std::string(name);
    return words.empty() ? "none" : words;
}

std::string size_words(std::uint64_t bytes) {
    static constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    std::size_t unit = 0;
    std::uint64_t tenths = bytes;
    // Computes tenths with integers: no floating point in a program for initramfs.
    std::uint64_t scale = 1;
    while (unit + 1 < units.size() && bytes / scale >= 1024) {
        scale *= 1024;
        ++unit;
    }
    if (unit == 0) return fmt::format("{} B", bytes);
    tenths = bytes / scale * 10 + bytes % scale * 10 / scale;
    return fmt::format("{}.{} {}", tenths / 10, tenths % 10, units[unit]);
}

std::string short_duration_words(std::uint64_t milliseconds) {
    if (milliseconds < 1000) return fmt::format("{} ms", milliseconds);
    if (milliseconds < 60'000) return fmt::format("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100);
    return duration_words(milliseconds / 1000);
}

std::string duration_words(std::uint64_t seconds) {
    if (seconds < 60) return fmt::format("{} s", seconds);
    if (seconds < 3600) return fmt::format("{} min {} s", seconds / 60, seconds % 60);
    if (seconds < 86400) return fmt::format("{} h {} min", seconds / 3600, seconds % 3600 / 60);
    return fmt::format("{} d {} h", seconds / 86400, seconds % 86400 / 3600);
}

}  // namespace holdfast::client
