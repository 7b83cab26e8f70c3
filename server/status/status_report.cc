// All formats show the same figures; each escapes text by its own rule.

#include "server/status/status_report.hh"

#include <fmt/core.h>

#include <iterator>

#include "common/text/json.hh"
#include "common/text/plural.hh"
#include "common/text/utf8.hh"

namespace holdfast::server {
namespace {

using Text = std::string;

template <class... Values>
void add(Text& text, fmt::format_string<Values...> format, Values&&... values) {
    fmt::format_to(std::back_inserter(text), format, std::forward<Values>(values)...);
}

// Splits a text into characters: `shown` gets the printable characters, `control` the code points of the
// others, U+FFFD for invalid UTF-8.
void spell(std::string_view text, const auto& shown, const auto& control) {
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        if (length == 0) {
            control(0xfffdU);
        } else if (is_hidden(text, length)) {
            control(static_cast<unsigned>(code_point(text, length)));
        } else {
            shown(text.substr(0, length));
        }
        text.remove_prefix(length == 0 ? 1 : length);
    }
}

Text plain(std::string_view name) {
    Text text;
    spell(
        name, [&](std::string_view shown) { text += shown; }, [&](unsigned) { text += '?'; });
    return text;
}

// Formats as RFC 3339, in UTC, in whole seconds.
Text time(StatusReport::Time when, bool for_people = false) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(when);
    const auto day = std::chrono::floor<std::chrono::days>(seconds);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss clock(seconds - day);
    return fmt::format("{:04}-{:02}-{:02}{}{:02}:{:02}:{:02}{}", static_cast<int>(date.year()),
                       static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                       for_people ? ' ' : 'T', clock.hours().count(), clock.minutes().count(),
                       clock.seconds().count(), for_people ? " UTC" : "Z");
}

std::int64_t seconds_between(StatusReport::Time from, StatusReport::Time to) {
    return std::chrono::duration_cast<std::chrono::seconds>(to - from).count();
}

// Enough to distinguish sessions. The whole ID is secret: with it a client can fence the session's
// connections.
Text short_id(const nbd::Uuid& id) {
    return fmt::format("{:02x}{:02x}{:02x}{:02x}", id[0], id[1], id[2], id[3]);
}

Text size_text(std::uint64_t bytes) {
    constexpr std::array units{"byte", "KiB", "MiB", "GiB", "TiB", "PiB"};
    std::size_t unit = 0;
    while (bytes >= 10240 && unit + 1 < units.size()) {
        bytes >>= 10;
        ++unit;
    }
    return unit == 0 ? fmt::format("{}", counted(bytes, units[0])) : fmt::format("{} {}", bytes, units[unit]);
}

Text figures(const Tally& tally) {
    return fmt::format("{} ({} with errors, {} in flight), {} read, {} written",
                       counted(tally.requests(), "request"), tally.errors(), tally.in_flight,
                       size_text(tally.bytes_out()), size_text(tally.bytes_in()));
}

Text json_tally(const Tally& tally) {
    Text text;
    add(text, R"("in_flight":{},"requests":{},"errors":{},"bytes_in":{},"bytes_out":{},"commands":{{)",
        tally.in_flight, tally.requests(), tally.errors(), tally.bytes_in(), tally.bytes_out());
    for (std::size_t i = 0; i < counted_commands; ++i) {
        const Tally::Command& one = tally.commands[i];
        add(text, R"({}"{}":{{"requests":{},"errors":{},"bytes":{}}})", i == 0 ? "" : ",",
            counted_command_name(i), one.requests, one.errors, one.bytes);
    }
    return text + "}";
}

void add_turned_away(Text& text, const StatusReport& report) {
    Text away;
    for (std::size_t i = 0; i < turned_away_reasons; ++i) {
        if (report.turned_away[i] != 0)
            add(away, " {} by {},", report.turned_away[i], name_of(static_cast<TurnedAway>(i)));
    }
    if (!away.empty()) add(text, "turned away:{}\n", away.substr(0, away.size() - 1));
}

void add_client(Text& text, const Statistics::ConnectionStatus& client) {
    add(text, "    {}{}, cache {}, since {}: {}\n", plain(client.facts.peer),
        client.facts.read_only ? ", read-only" : "", client.facts.cache, time(client.facts.since, true),
        figures(client.tally));
    if (client.facts.own) add(text, "        disk {}\n", plain(client.facts.own->path));
    if (!client.facts.session) return;
    const auto& session = *client.facts.session;
    add(text, "        session {}, slot {}, generation {}\n", short_id(session.id), session.slot,
        session.generation);
}

}  // namespace

std::string to_text(const StatusReport& report) {
    Text text;
    add(text, "holdfast-server {}, process {}, {} since {}\n", report.version, report.pid,
        report.stopping ? "stopping, started" : "serving", time(report.started, true));
    add(text, "{} of {} connections, {} of them in the handshake\n", report.connections,
        report.max_connections, report.handshakes);
    add_turned_away(text, report);
    for (const StatusReport::Export& one : report.exports) {
        add(text, "\nexport {} ({}): {}, {} since the start; {}\n", plain(one.name),
            one.path.empty() ? "removed" : plain(one.path), counted(one.connections, "connection"),
            one.connections_total, figures(one.tally));
        if (one.full.waiting > 0)
            add(text, "    no room on the disk: {} {}\n", counted(one.full.waiting, "request"),
                one.full.waiting == 1 ? "waits" : "wait");
        if (!one.old_path.empty())
            add(text, "    waiting for {} that still {} {}\n", counted(one.old_connections, "connection"),
                one.old_connections == 1 ? "uses" : "use", plain(one.old_path));
        for (const auto& client : report.clients) {
            if (client.facts.export_name == one.name) add_client(text, client);
        }
    }
    return text;
}

std::string to_json(const StatusReport& report) {
    Text text;
    add(text, R"({{"version":{},"pid":{},"state":"{}","started":"{}","uptime_seconds":{},)",
        json_string(report.version), report.pid, report.stopping ? "stopping" : "serving",
        time(report.started), seconds_between(report.started, report.now));
    add(text, R"("connections":{},"handshakes":{},"maxconnections":{},"turned_away":{{)", report.connections,
        report.handshakes, report.max_connections);
    for (std::size_t i = 0; i < turned_away_reasons; ++i)
        add(text, R"({}"{}":{})", i == 0 ? "" : ",", name_of(static_cast<TurnedAway>(i)),
            report.turned_away[i]);
    text += R"(},"exports":[)";
    for (std::size_t i = 0; i < report.exports.size(); ++i) {
        const StatusReport::Export& one = report.exports[i];
        add(text,
            R"({}{{"name":{},"path":{},"old_path":{},"old_connections":{},"read_only":{},"connections":{},"connections_total":{},"waiting_for_room":{},"waited_for_room_total":{},{}}})",
            i == 0 ? "" : ",", json_string(one.name), one.path.empty() ? "null" : json_string(one.path),
            one.old_path.empty() ? "null" : json_string(one.old_path), one.old_connections, one.read_only,
            one.connections, one.connections_total, one.full.waiting, one.full.waited, json_tally(one.tally));
    }
    text += R"(],"clients":[)";
    for (std::size_t i = 0; i < report.clients.size(); ++i) {
        const auto& [facts, tally] = report.clients[i];
        add(text, R"({}{{"export":{},"peer":{},"read_only":{},"cache":"{}","since":"{}","seconds":{},)",
            i == 0 ? "" : ",", json_string(facts.export_name), json_string(facts.peer), facts.read_only,
            facts.cache, time(facts.since), seconds_between(facts.since, report.now));
        add(text, R"("path":{},)", facts.own ? json_string(facts.own->path) : "null");
        if (facts.session)
            add(text, R"("session":"{}","slot":{},"generation":{},)", short_id(facts.session->id),
                facts.session->slot, facts.session->generation);
        else
            text += R"("session":null,"slot":null,"generation":null,)";
        text += json_tally(tally) + "}";
    }
    return text + "]}\n";
}

std::string prometheus_label(std::string_view value) {
    Text text = "\"";
    spell(
        value,
        [&](std::string_view shown) {
            if (shown == "\"" || shown == "\\") text += '\\';
            text += shown;
        },
        [&](unsigned code) { text += code == '\n' ? "\\n" : "?"; });
    return text + "\"";
}

std::string to_prometheus(const StatusReport& report) {
    Text text;
    const auto family = [&](std::string_view name, std::string_view type, std::string_view help) {
        add(text, "# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
    };
    const auto by_command = [&](std::string_view name, std::string_view help,
                                std::uint64_t Tally::Command::*figure) {
        family(name, "counter", help);
        for (const StatusReport::Export& one : report.exports) {
            for (std::size_t i = 0; i < counted_commands; ++i)
                add(text, "{}{{export={},command=\"{}\"}} {}\n", name, prometheus_label(one.name),
                    counted_command_name(i), one.tally.commands[i].*figure);
        }
    };
    const auto by_export = [&](std::string_view name, std::string_view type, std::string_view help,
                               const auto& figure) {
        family(name, type, help);
        for (const StatusReport::Export& one : report.exports)
            add(text, "{}{{export={}}} {}\n", name, prometheus_label(one.name), figure(one));
    };
    using Export = StatusReport::Export;
    by_command("holdfast_requests_total", "Finished requests.", &Tally::Command::requests);
    by_command("holdfast_request_errors_total", "Requests answered with an error.", &Tally::Command::errors);
    by_command("holdfast_request_bytes_total", "Bytes in the ranges of executed requests.",
               &Tally::Command::bytes);
    by_export("holdfast_requests_in_flight", "gauge", "Requests started and not finished.",
              [](const Export& one) { return one.tally.in_flight; });
    by_export("holdfast_connections", "gauge", "Current connections to the export.",
              [](const Export& one) { return one.connections; });
    by_export("holdfast_connections_total", "counter", "Connections to the export since the start.",
              [](const Export& one) { return one.connections_total; });
    by_export("holdfast_requests_waiting_for_room", "gauge",
              "Requests that wait because their disk has no room (full = wait).",
              [](const Export& one) { return one.full.waiting; });
    by_export("holdfast_requests_waited_for_room_total", "counter",
              "Requests that found no room on their disk and waited.",
              [](const Export& one) { return one.full.waited; });
    family("holdfast_handshakes", "gauge", "Connections in the handshake, without an export yet.");
    add(text, "holdfast_handshakes {}\n", report.handshakes);
    family("holdfast_turned_away_total", "counter",
           "Refused clients, by the limit or file that refused them.");
    for (std::size_t i = 0; i < turned_away_reasons; ++i)
        add(text, "holdfast_turned_away_total{{reason=\"{}\"}} {}\n", name_of(static_cast<TurnedAway>(i)),
            report.turned_away[i]);
    family("holdfast_max_connections", "gauge", "Limit of all connections together.");
    add(text, "holdfast_max_connections {}\n", report.max_connections);
    family("holdfast_stopping", "gauge", "1 while the server is draining its connections.");
    add(text, "holdfast_stopping {}\n", report.stopping ? 1 : 0);
    family("holdfast_start_time_seconds", "gauge", "Start time of the server, in seconds since the epoch.");
    add(text, "holdfast_start_time_seconds {}\n",
        std::chrono::duration_cast<std::chrono::seconds>(report.started.time_since_epoch()).count());
    family("holdfast_build_info", "gauge", "Always 1, with the version as a label.");
    add(text, "holdfast_build_info{{version={}}} 1\n", prometheus_label(report.version));
    return text;
}

}  // namespace holdfast::server
