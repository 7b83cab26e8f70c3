// Tabs, newlines and percent signs within a field are encoded as %XX.

#include "server/status/volume_list.hh"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "common/text/json.hh"
#include "common/text/number.hh"
#include "common/text/printable.hh"

namespace holdfast::server {
namespace {

constexpr std::size_t fields_of_row = 7;

std::string encoded(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '\t' || c == '\n' || c == '%') {
            out += fmt::format("%{:02x}", static_cast<unsigned>(c));
        } else {
            out += c;
        }
    }
    return out;
}

std::string decoded(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        unsigned code = 0;
        if (text.size() >= 3 && text[0] == '%' &&
            std::from_chars(text.data() + 1, text.data() + 3, code, 16).ec == std::errc()) {
            out += static_cast<char>(code);
            text.remove_prefix(3);
        } else {
            out += text[0];
            text.remove_prefix(1);
        }
    }
    return out;
}

std::int64_t seconds_of(std::chrono::system_clock::time_point when) {
    return std::chrono::floor<std::chrono::seconds>(when).time_since_epoch().count();
}

// Splits at each separator; empty fields count.
std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    for (;;) {
        const std::size_t end = text.find(separator);
        parts.push_back(text.substr(0, end));
        if (end == std::string_view::npos) return parts;
        text.remove_prefix(end + 1);
    }
}

std::optional<VolumeRow> decode_row(std::string_view line) {
    const std::vector<std::string_view> fields = split(line, '\t');
    if (fields.size() < fields_of_row) return std::nullopt;
    const auto offered = number_of<std::uint64_t>(fields[3]);
    const auto since = number_of<std::int64_t>(fields[4]);
    const auto last_seen = number_of<std::int64_t>(fields[6]);
    if (!offered || !since || !last_seen) return std::nullopt;
    using std::chrono::seconds;
    VolumeRow row;
    row.export_name = decoded(fields[0]);
    row.path = decoded(fields[1]);
    row.client = decoded(fields[2]);
    row.offered = *offered;
    row.since = VolumeRow::Time(seconds(*since));
    row.last_client = decoded(fields[5]);
    row.last_seen = VolumeRow::Time(seconds(*last_seen));
    return row;
}

// RFC 3339, in UTC.
std::string time_text(VolumeRow::Time when) {
    const auto day = std::chrono::floor<std::chrono::days>(when);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(when - day);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                       static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                       clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

std::string size_text(std::uint64_t bytes) {
    constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    std::size_t unit = 0;
    while (bytes >= 10240 && unit + 1 < units.size()) {
        bytes >>= 10;
        ++unit;
    }
    return fmt::format("{} {}", bytes, units[unit]);
}

std::optional<std::uint64_t> size_of(const VolumeRow& row) {
    if (row.size) return row.size;
    return row.client.empty() ? std::nullopt : std::optional(row.offered);
}

// "12.50", or empty.
bool is_percentage(std::string_view text) {
    if (text.empty()) return true;
    const std::size_t point = text.find('.');
    return number_of<unsigned>(text.substr(0, point)) &&
           (point == std::string_view::npos || number_of<unsigned>(text.substr(point + 1)));
}

constexpr std::size_t columns = 8;
using Cells = std::array<std::string, columns>;

Cells cells_of(const VolumeRow& row) {
    const bool connected = !row.client.empty();
    const auto size = size_of(row);
    const auto shown = [](std::string_view text) {
        return text.empty() ? std::string("-") : printable_ascii(text, text.size());
    };
    return {shown(row.export_name),
            row.path.empty() ? "(removed)" : shown(row.path),
            shown(row.volume),
            size ? size_text(*size) : "-",
            row.used ? *row.used + "%" : "-",
            shown(row.client),
            connected ? time_text(row.since) : "-",
            connected ? "now"
            : row.last_client.empty()
                ? "-"
                : fmt::format("{} {}", time_text(row.last_seen), shown(row.last_client))};
}

std::string json_or_null(std::string_view text) {
    return text.empty() ? std::string("null") : json_string(text);
}

std::string json_of(const VolumeRow& row) {
    const bool connected = !row.client.empty();
    const auto size = size_of(row);
    const auto time = [](bool valid, VolumeRow::Time when) {
        return valid ? json_string(time_text(when)) : std::string("null");
    };
    return fmt::format(
        R"({{"export":{},"path":{},"volume":{},"size":{},"used_percent":{},"client":{},"connected_since":{},"last_client":{},"last_seen":{}}})",
        json_string(row.export_name), json_or_null(row.path), json_or_null(row.volume),
        size ? fmt::format("{}", *size) : "null", row.used.value_or("null"), json_or_null(row.client),
        time(connected, row.since), json_or_null(row.last_client),
        time(!row.last_client.empty(), row.last_seen));
}

}  // namespace

std::string encode_volumes(const StatusReport& report) {
    std::string text;
    const auto add = [&](const StatusReport::Export& one, const ConnectionFacts* client) {
        text += fmt::format("{}\t{}\t{}\t{}\t{}\t{}\t{}\n", encoded(one.name), encoded(one.path),
                            client == nullptr ? std::string() : encoded(client->peer),
                            client == nullptr ? 0 : client->size,
                            client == nullptr ? 0 : seconds_of(client->since), encoded(one.last_peer),
                            one.last_peer.empty() ? 0 : seconds_of(one.last_seen));
    };
    for (const StatusReport::Export& one : report.exports) {
        bool connected = false;
        for (const auto& client : report.clients) {
            if (client.facts.export_name != one.name) continue;
            connected = true;
            add(one, &client.facts);
        }
        if (!connected) add(one, nullptr);
    }
    return text;
}

std::optional<std::vector<VolumeRow>> decode_volumes(std::string_view text) {
    std::vector<VolumeRow> rows;
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        if (end == std::string_view::npos) return std::nullopt;
        std::optional<VolumeRow> row = decode_row(text.substr(0, end));
        if (!row) return std::nullopt;
        rows.push_back(std::move(*row));
        text.remove_prefix(end + 1);
    }
    return rows;
}

std::vector<LogicalVolume> parse_lvs(std::string_view text) {
    std::vector<LogicalVolume> volumes;
    for (std::string_view line : split(text, '\n')) {
        line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
        const std::vector<std::string_view> fields = split(line, ',');
        if (fields.size() != 6) continue;
        const auto size = number_of<std::uint64_t>(fields[2]);
        const auto major = number_of<int>(fields[4]);
        const auto minor = number_of<int>(fields[5]);
        if (!size || !major || !minor || !is_percentage(fields[3])) continue;
        volumes.push_back(
            {fmt::format("{}/{}", fields[0], fields[1]), *size, std::string(fields[3]), *major, *minor});
    }
    return volumes;
}

std::string volumes_text(const std::vector<VolumeRow>& rows) {
    std::vector<Cells> table{
        {"EXPORT", "PATH", "VOLUME", "SIZE", "USED", "CLIENT", "CONNECTED SINCE", "LAST SEEN"}};
    for (const VolumeRow& row : rows) table.push_back(cells_of(row));
    std::array<std::size_t, columns> widths{};
    for (const Cells& cells : table) {
        for (std::size_t i = 0; i < columns; ++i) widths[i] = std::max(widths[i], cells[i].size());
    }
    std::string text;
    for (const Cells& cells : table) {
        for (std::size_t i = 0; i + 1 < columns; ++i) text += fmt::format("{:<{}}  ", cells[i], widths[i]);
        text += cells[columns - 1] + "\n";
    }
    return text;
}

std::string volumes_json(const std::vector<VolumeRow>& rows) {
    std::string text = R"({"volumes":[)";
    for (const VolumeRow& row : rows) text += (&row == rows.data() ? "" : ",") + json_of(row);
    return text + "]}\n";
}

}  // namespace holdfast::server
