// Tabs, newlines and percent signs within a field are encoded as %XX.

#include "server/status/volume_list.hh"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "common/golden/volume_name.hh"
#include "common/text/json.hh"
#include "common/text/number.hh"
#include "common/text/printable.hh"
#include "common/text/text.hh"

namespace holdfast::server {
namespace {

constexpr std::size_t fields_of_row = 9;  // number in earlier versions; a further one follows

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
    row.host = decoded(fields[7]);
    row.of_hosts = fields[8] == "1";
    row.of_session = fields.size() > fields_of_row && fields[fields_of_row] == "1";
    return row;
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

std::vector<std::string> cells_of(const VolumeRow& row) {
    const bool connected = !row.client.empty();
    const auto size = size_of(row);
    const auto shown = [](std::string_view text) {
        return text.empty() ? std::string("-") : printable_ascii(text, text.size());
    };
    return {shown(row.export_name),
            row.of_hosts ? "*" : shown(row.host),
            row.path.empty() ? "(removed)" : shown(row.path),
            shown(row.volume),
            size ? size_text(*size) : "-",
            row.used ? *row.used + "%" : "-",
            shown(row.golden),
            row.pool_used ? fmt::format("{} {}%", shown(row.pool), *row.pool_used) : shown(row.pool),
            shown(row.client),
            connected ? time_text(row.since) : "-",
            connected ? "now"
            : row.last_client.empty()
                ? "-"
                : fmt::format("{} {}", time_text(row.last_seen), shown(row.last_client))};
}

std::string json_of(const VolumeRow& row) {
    const bool connected = !row.client.empty();
    const auto size = size_of(row);
    const auto time = [](bool valid, VolumeRow::Time when) {
        return valid ? json_string(time_text(when)) : std::string("null");
    };
    return fmt::format(
        R"({{"export":{},"host":{},"session":{},"path":{},"volume":{},"size":{},"used_percent":{},"golden_of":{},"pool":{},"pool_used_percent":{},"pool_metadata_used_percent":{},"client":{},"connected_since":{},"last_client":{},"last_seen":{}}})",
        json_string(row.export_name), json_or_null(row.of_session ? "" : row.host),
        json_or_null(row.of_session ? row.host : ""), json_or_null(row.path), json_or_null(row.volume),
        size ? fmt::format("{}", *size) : "null", row.used.value_or("null"), json_or_null(row.golden),
        json_or_null(row.pool), row.pool_used.value_or("null"), row.pool_metadata_used.value_or("null"),
        json_or_null(row.client), time(connected, row.since), json_or_null(row.last_client),
        time(!row.last_client.empty(), row.last_seen));
}

// Source of a row's line. Null: no client, no last client, no disk of its own.
struct Source {
    const StatusReport::Export& of;
    const ConnectionFacts* client = nullptr;
    const ConnectionFacts::OwnDisk* own = nullptr;
    std::string_view last_peer{};
    std::chrono::system_clock::time_point last_seen{};
};

std::string line_of(const Source& one) {
    const bool connected = one.client != nullptr;
    return fmt::format("{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\n",
                       encoded(one.own != nullptr ? one.own->section : one.of.name),
                       encoded(one.own != nullptr ? one.own->path : one.of.path),
                       connected ? encoded(one.client->peer) : std::string(),
                       connected ? one.client->size : 0, connected ? seconds_of(one.client->since) : 0,
                       encoded(one.last_peer), one.last_peer.empty() ? 0 : seconds_of(one.last_seen),
                       one.own != nullptr ? encoded(one.own->host) : std::string(),
                       one.of.is_virtual && one.own == nullptr ? 1 : 0,
                       one.own != nullptr && one.own->of_session ? 1 : 0);
}

const Statistics::OwnDiskSeen* last_of(const StatusReport& report, const ConnectionFacts::OwnDisk& disk) {
    const auto found = std::ranges::find_if(
        report.own_disks, [&](const Statistics::OwnDiskSeen& one) { return one.disk.path == disk.path; });
    return found == report.own_disks.end() ? nullptr : &*found;
}

// A line for each client, and for each disk of a host that has left.
std::string lines_of(const StatusReport& report, const StatusReport::Export& one) {
    std::string text;
    std::set<std::string_view> shown;
    for (const auto& client : report.clients) {
        const ConnectionFacts& facts = client.facts;
        if (facts.export_name != one.name) continue;
        Source source{one, &facts, facts.own ? &*facts.own : nullptr, one.last_peer, one.last_seen};
        if (facts.own) {
            shown.insert(facts.own->path);
            const Statistics::OwnDiskSeen* const last = last_of(report, *facts.own);
            source.last_peer = last != nullptr ? std::string_view(last->peer) : std::string_view();
            if (last != nullptr) source.last_seen = last->when;
        }
        text += line_of(source);
    }
    for (const Statistics::OwnDiskSeen& seen : report.own_disks)
        if (seen.export_name == one.name && !shown.contains(seen.disk.path))
            text += line_of({one, nullptr, &seen.disk, seen.peer, seen.when});
    return text.empty() ? line_of({one, nullptr, nullptr, one.last_peer, one.last_seen}) : text;
}

constexpr std::string_view export_tag = "holdfast.export=";
constexpr std::string_view host_tag = "holdfast.host=";
constexpr std::string_view session_tag = "holdfast.session=";
constexpr std::string_view copy_tag = "holdfast.copy_of=";

// Reads the tags of holdfast-provision.
void take_tags(LogicalVolume& volume, std::string_view tags) {
    const std::vector<std::string_view> all = split(tags, ',');
    volume.snapshot = snapshot_by_tags({all.begin(), all.end()});
    for (const std::string_view tag : all) {
        if (tag.starts_with(export_tag)) volume.export_name = decoded_word(tag.substr(export_tag.size()));
        if (tag.starts_with(host_tag)) volume.host = decoded_word(tag.substr(host_tag.size()));
        volume.of_session |= tag.starts_with(session_tag);
        if (tag.starts_with(session_tag)) volume.host = decoded_word(tag.substr(session_tag.size()));
        if (tag.starts_with(copy_tag)) volume.origin = tag.substr(copy_tag.size());
    }
    if (volume.host.empty()) volume.export_name.clear();
}

void add_facts(VolumeRow& row, const LogicalVolume& volume, const std::vector<LogicalVolume>& volumes) {
    row.volume = volume.name;
    row.size = volume.size;
    if (!volume.used.empty()) row.used = volume.used;
    row.pool = volume.pool;
    if (!volume.export_name.empty()) row.golden = volume.origin;
    const auto pool = std::ranges::find(volumes, row.pool, &LogicalVolume::name);
    if (pool == volumes.end()) return;
    if (!pool->used.empty()) row.pool_used = pool->used;
    if (!pool->metadata_used.empty()) row.pool_metadata_used = pool->metadata_used;
}

}  // namespace

std::string size_text(std::uint64_t bytes) {
    constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    std::size_t unit = 0;
    while (bytes >= 10240 && unit + 1 < units.size()) {
        bytes >>= 10;
        ++unit;
    }
    return fmt::format("{} {}", bytes, units[unit]);
}

std::string json_or_null(std::string_view text) {
    return text.empty() ? std::string("null") : json_string(text);
}

std::vector<PoolWarning> pool_warnings(const std::vector<VolumeRow>& rows) {
    std::vector<PoolWarning> found;
    std::set<std::string> named;
    const auto check = [&](const std::optional<std::string>& used, std::string_view part, std::string mend) {
        const auto percent =
            number_of<unsigned>(std::string_view(used.value_or("")).substr(0, used ? used->find('.') : 0));
        if (percent && *percent >= 80)
            found.push_back({*percent >= 90, fmt::format("{}: {}% full; {}", part, *used, mend)});
    };
    for (const VolumeRow& row : rows) {
        if (row.pool.empty() || !named.insert(row.pool).second) continue;
        const std::string pool = printable_ascii(row.pool, row.pool.size());
        check(row.pool_used, fmt::format("thin pool {}, data", pool),
              fmt::format("run lvextend -L +10G {}", pool));
        check(row.pool_metadata_used, fmt::format("thin pool {}, metadata", pool),
              fmt::format("run lvextend --poolmetadatasize +256M {}", pool));
    }
    return found;
}

std::string time_text(VolumeRow::Time when) {
    const auto day = std::chrono::floor<std::chrono::days>(when);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(when - day);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                       static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                       clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

std::string encode_volumes(const StatusReport& report) {
    std::string text;
    for (const StatusReport::Export& one : report.exports) text += lines_of(report, one);
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
    constexpr std::size_t fields_before_tags = 9;
    std::vector<LogicalVolume> volumes;
    for (std::string_view line : split(text, '\n')) {
        line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
        std::vector<std::string_view> fields;
        while (fields.size() < fields_before_tags && line.find(',') != line.npos)
            fields.push_back(take_until(line, ','));
        if (fields.size() != fields_before_tags) continue;
        const auto size = number_of<std::uint64_t>(fields[2]);
        const auto major = number_of<int>(fields[4]);
        const auto minor = number_of<int>(fields[5]);
        if (!size || !major || !minor || !is_percentage(fields[3]) || !is_percentage(fields[8])) continue;
        const auto in_group = [&](std::string_view name) {
            return name.empty() ? std::string() : fmt::format("{}/{}", fields[0], name);
        };
        LogicalVolume made{
            in_group(fields[1]), *size, std::string(fields[3]), *major, *minor, in_group(fields[6]),
            in_group(fields[7])};
        made.metadata_used = fields[8];
        take_tags(made, line);
        volumes.push_back(std::move(made));
    }
    return volumes;
}

bool add_volume_facts(VolumeRow& row, const std::vector<LogicalVolume>& volumes, int major, int minor) {
    const auto same = std::ranges::find_if(
        volumes, [&](const LogicalVolume& one) { return one.major == major && one.minor == minor; });
    if (same == volumes.end()) return false;
    add_facts(row, *same, volumes);
    return true;
}

std::vector<VolumeRow> with_made_volumes(std::vector<VolumeRow> rows,
                                         const std::vector<LogicalVolume>& volumes) {
    for (const LogicalVolume& one : volumes) {
        if (one.export_name.empty() || std::ranges::find(rows, one.name, &VolumeRow::volume) != rows.end())
            continue;
        const auto same_path = std::ranges::find(rows, "/dev/" + one.name, &VolumeRow::path);
        if (same_path != rows.end()) {  // its device is not active
            add_facts(*same_path, one, volumes);
            continue;
        }
        VolumeRow row;
        row.export_name = one.export_name;
        row.path = "/dev/" + one.name;
        row.host = one.host;
        row.of_session = one.of_session;
        add_facts(row, one, volumes);
        rows.push_back(std::move(row));
    }
    const auto is_shown = [&](const VolumeRow& of_hosts) {
        return std::ranges::any_of(rows, [&](const VolumeRow& one) {
            return !one.of_hosts && one.export_name == of_hosts.export_name;
        });
    };
    std::vector<VolumeRow> ordered;
    for (const VolumeRow& first : rows) {
        if (std::ranges::find(ordered, first.export_name, &VolumeRow::export_name) != ordered.end()) continue;
        for (const VolumeRow& row : rows)
            if (row.export_name == first.export_name && !(row.of_hosts && is_shown(row)))
                ordered.push_back(row);
    }
    return ordered;
}

std::string table_text(const std::vector<std::vector<std::string>>& lines) {
    std::vector<std::size_t> widths(lines.empty() ? 0 : lines.front().size());
    for (const std::vector<std::string>& cells : lines)
        for (std::size_t i = 0; i < widths.size(); ++i) widths[i] = std::max(widths[i], cells[i].size());
    std::string text;
    for (const std::vector<std::string>& cells : lines) {
        for (std::size_t i = 0; i + 1 < cells.size(); ++i)
            text += fmt::format("{:<{}}  ", cells[i], widths[i]);
        text += cells.back() + "\n";
    }
    return text;
}

std::string volumes_text(const std::vector<VolumeRow>& rows) {
    std::vector<std::vector<std::string>> table{{"EXPORT", "HOST", "PATH", "VOLUME", "SIZE", "USED",
                                                 "GOLDEN OF", "POOL", "CLIENT", "CONNECTED SINCE",
                                                 "LAST SEEN"}};
    for (const VolumeRow& row : rows) table.push_back(cells_of(row));
    return table_text(table);
}

std::string volumes_json(const std::vector<VolumeRow>& rows) {
    std::string text = R"({"volumes":[)";
    for (const VolumeRow& row : rows) text += (&row == rows.data() ? "" : ",") + json_of(row);
    return text + "]}\n";
}

std::string volumes_prometheus(const std::vector<VolumeRow>& rows) {
    std::string text;
    const auto family = [&](std::string_view name, std::string_view help, const auto& value) {
        text += fmt::format("# HELP {0} {1}\n# TYPE {0} gauge\n", name, help);
        std::set<std::string> named;
        for (const VolumeRow& row : rows) {
            const std::string labels =
                fmt::format("{{export={},volume={},pool={}}}", prometheus_label(row.export_name),
                            prometheus_label(row.volume), prometheus_label(row.pool));
            if (!named.insert(labels).second) continue;
            if (const std::optional<std::string> figure = value(row))
                text += fmt::format("{}{} {}\n", name, labels, *figure);
        }
    };
    using Figure = std::optional<std::string>;
    family("holdfast_volume_size_bytes", "Size of the export's disk.", [](const VolumeRow& row) -> Figure {
        const auto size = size_of(row);
        return size ? Figure(fmt::format("{}", *size)) : std::nullopt;
    });
    family("holdfast_volume_used_percent", "Use of a thin volume or snapshot.",
           [](const VolumeRow& row) { return row.used; });
    family("holdfast_volume_pool_used_percent", "Use of the thin pool of the volume.",
           [](const VolumeRow& row) { return row.pool_used; });
    family("holdfast_volume_pool_metadata_used_percent", "Use of the metadata of the volume's thin pool.",
           [](const VolumeRow& row) { return row.pool_metadata_used; });
    family("holdfast_volume_connected", "1 while a client is connected.",
           [](const VolumeRow& row) { return Figure(row.client.empty() ? "0" : "1"); });
    family("holdfast_volume_last_seen_seconds",
           "End of the last client's connection, in seconds since the epoch; missing if there was none.",
           [](const VolumeRow& row) -> Figure {
               if (row.last_client.empty()) return std::nullopt;
               return fmt::format("{}", seconds_of(row.last_seen));
           });
    return text;
}

}  // namespace holdfast::server
