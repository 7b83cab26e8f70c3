// Nothing here freezes a file system, so that a snapshot has to be asked for as what it is.

#include "server/status/snapshot_command.hh"

#include <fmt/core.h>
#include <getopt.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <optional>
#include <string>

#include "common/golden/snapshots.hh"
#include "common/text/number.hh"
#include "server/status/lvs_program.hh"
#include "server/status/provision_request.hh"
#include "server/status/status_query.hh"
#include "server/status/volume_list.hh"

namespace holdfast::server {
namespace {

constexpr const char* snapshot_usage =
    "usage: holdfast-server snapshot EXPORT NAME --no-freeze [--host HOST]\n"
    "       holdfast-server snapshot EXPORT --automatic --no-freeze [--host HOST]\n"
    "                                [--keep N] [--keep-days N]\n"
    "       holdfast-server snapshot EXPORT NAME --remove [--host HOST] [--yes]\n"
    "\n"
    "Take a snapshot of an export's thin volume, also while it is in use, or remove it.\n"
    "The client's file system is not frozen: the snapshot has the state of a power cut.\n"
    "\n"
    "  -n, --no-freeze    required to take a snapshot\n"
    "  -a, --automatic    name it by the time, and remove automatic snapshots of before\n"
    "                     beyond --keep or --keep-days, of which one is required\n"
    "  -k, --keep N       keep at most N automatic snapshots; default 0: any number\n"
    "  -d, --keep-days N  keep automatic snapshots for N days; default 0: for ever\n"
    "  -r, --remove       remove the snapshot\n"
    "  -y, --yes          with --remove, do it; by default only say what would be done\n"
    "  -H, --host HOST    the volume of this host, for an export with create\n"
    "  -s, --socket PATH  socket of holdfast-provision;\n"
    "                     default /run/holdfast-provision/provision.sock\n"
    "  -h, --help         show this help\n";

constexpr const char* restore_usage =
    "usage: holdfast-server restore EXPORT NAME [--host HOST] [--yes [--wait[=SECONDS]]]\n"
    "\n"
    "Give an export's volume the state of a snapshot. The state of before stays as a\n"
    "snapshot. A volume in use is refused, unless --wait is given.\n"
    "\n"
    "  -y, --yes             do it; by default only say what would be done\n"
    "  -w, --wait[=SECONDS]  wait until the volume is no longer in use;\n"
    "                        default without SECONDS: for any time\n"
    "  -H, --host HOST       the volume of this host, for an export with create\n"
    "  -s, --socket PATH     socket of holdfast-provision;\n"
    "                        default /run/holdfast-provision/provision.sock\n"
    "  -h, --help            show this help\n";

constexpr const char* list_usage =
    "usage: holdfast-server snapshots [--json]\n"
    "\n"
    "List the snapshots of exports' volumes. Only root may do this.\n"
    "\n"
    "  -j, --json  print one JSON object\n"
    "  -h, --help  show this help\n";

struct Wanted {
    VolumeOrder order;
    bool no_freeze = false;
    bool automatic = false;
    bool remove = false;
};

// Reads a number of snapshots or days.
bool take_number(std::uint32_t& into, const char* text) {
    constexpr std::uint32_t most = 100'000;
    const auto number = number_of<std::uint32_t>(text);
    if (!number || *number > most) return false;
    into = *number;
    return true;
}

int bad_number(std::string_view option) {
    return usage_error("snapshot", fmt::format("{}: the number must be from 0 to 100000", option));
}

// Returns the exit status if the command ends with this option.
std::optional<int> take_snapshot_option(Wanted& wanted, int code) {
    ProvisionRequest& request = wanted.order.request;
    switch (code) {
        case 'n': wanted.no_freeze = true; return std::nullopt;
        case 'a': wanted.automatic = true; return std::nullopt;
        case 'r': wanted.remove = true; return std::nullopt;
        case 'y': wanted.order.yes = true; return std::nullopt;
        case 'k':
            return take_number(request.keep_count, optarg) ? std::nullopt
                                                           : std::optional(bad_number("--keep"));
        case 'd':
            return take_number(request.keep_days, optarg) ? std::nullopt
                                                          : std::optional(bad_number("--keep-days"));
        default: return take_common_option(wanted.order, code);
    }
}

// Explains what is wrong with the options; empty: nothing.
std::string fault_of(const Wanted& wanted) {
    const ProvisionRequest& request = wanted.order.request;
    const bool keeps = request.keep_count != 0 || request.keep_days != 0;
    if (!wanted.automatic && keeps) return "--keep and --keep-days: need --automatic";
    if (wanted.remove)
        return wanted.automatic || wanted.no_freeze
                   ? "--remove: takes no snapshot; omit --automatic and --no-freeze"
                   : "";
    if (!wanted.no_freeze)
        return "the client cannot freeze its file system for a snapshot; add --no-freeze for one with the "
               "state "
               "of a power cut";
    if (wanted.automatic && !keeps) return "--automatic: missing --keep or --keep-days";
    if (wanted.order.yes) return "--yes: only for --remove and restore";
    return {};
}

// Takes EXPORT, and NAME if there has to be one, from the arguments after the options.
std::optional<int> take_words(VolumeOrder& order, bool with_name, int count, char** words) {
    if (optind + (with_name ? 2 : 1) != count)
        return usage_error(order.command, with_name ? "name an export and a snapshot" : "name an export");
    order.request.name = words[optind];
    if (!with_name) return std::nullopt;
    order.request.snapshot = words[optind + 1];
    if (is_snapshot_name(order.request.snapshot)) return std::nullopt;
    return usage_error(
        order.command,
        fmt::format("{}: a snapshot's name has 1 to 40 lower-case letters, digits, \"-\" and \".\"",
                    order.request.snapshot));
}

// Taking a snapshot undoes nothing, and needs no --yes.
int take_or_remove(Wanted wanted) {
    ProvisionRequest& request = wanted.order.request;
    if (wanted.automatic)
        request.snapshot = snapshot_name_at(
            "auto", std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()));
    request.automatic = wanted.automatic;
    if (wanted.remove) return carry_out(wanted.order);
    return ask_and_show(wanted.order) ? answered : no_answer;
}

std::string shown(std::string_view text) { return text.empty() ? "-" : std::string(text); }

std::string table_of(const std::vector<LogicalVolume>& volumes) {
    std::vector<std::vector<std::string>> lines{
        {"EXPORT", "HOST", "NAME", "TAKEN", "SIZE", "USED", "VOLUME"}};
    for (const LogicalVolume& one : volumes) {
        if (!one.snapshot) continue;
        lines.push_back({shown(one.snapshot->export_name), shown(one.snapshot->host), one.snapshot->name,
                         time_text(one.snapshot->taken), size_text(one.size),
                         one.used.empty() ? "-" : one.used + "%", one.name});
    }
    return table_text(lines);
}

std::string json_of(const std::vector<LogicalVolume>& volumes) {
    std::string text;
    for (const LogicalVolume& one : volumes) {
        if (!one.snapshot) continue;
        const Snapshot& it = *one.snapshot;
        text += fmt::format(
            R"({}{{"export":{},"host":{},"name":{},"taken":{},"automatic":{},"volume":{},"size":{},"used_percent":{}}})",
            text.empty() ? "" : ",", json_or_null(it.export_name), json_or_null(it.host),
            json_or_null(it.name), json_or_null(time_text(it.taken)), it.automatic, json_or_null(one.name),
            one.size, one.used.empty() ? "null" : one.used);
    }
    return fmt::format("{{\"snapshots\":[{}]}}\n", text);
}

}  // namespace

int snapshot_command(int count, char** words) {
    constexpr std::array long_options{
        option{"no-freeze", no_argument, nullptr, 'n'},  option{"automatic", no_argument, nullptr, 'a'},
        option{"keep", required_argument, nullptr, 'k'}, option{"keep-days", required_argument, nullptr, 'd'},
        option{"remove", no_argument, nullptr, 'r'},     option{"yes", no_argument, nullptr, 'y'},
        option{"host", required_argument, nullptr, 'H'}, option{"socket", required_argument, nullptr, 's'},
        option{"help", no_argument, nullptr, 'h'},       option{nullptr, 0, nullptr, 0},
    };
    Wanted wanted;
    wanted.order.command = "snapshot";
    wanted.order.usage = snapshot_usage;
    opterr = 0;
    optind = 0;
    for (;;) {
        const int code = ::getopt_long(count, words, ":nak:d:ryH:s:h", long_options.data(), nullptr);
        if (code == -1) break;
        wanted.order.word = words[optind - 1];
        if (const auto status = take_snapshot_option(wanted, code)) return *status;
    }
    wanted.order.request.call = wanted.remove ? ProvisionCall::remove_snapshot : ProvisionCall::snapshot;
    if (const auto status = take_words(wanted.order, !wanted.automatic, count, words)) return *status;
    if (const std::string fault = fault_of(wanted); !fault.empty()) return usage_error("snapshot", fault);
    return take_or_remove(std::move(wanted));
}

int restore_command(int count, char** words) {
    constexpr std::array long_options{
        option{"yes", no_argument, nullptr, 'y'},        option{"wait", optional_argument, nullptr, 'w'},
        option{"host", required_argument, nullptr, 'H'}, option{"socket", required_argument, nullptr, 's'},
        option{"help", no_argument, nullptr, 'h'},       option{nullptr, 0, nullptr, 0},
    };
    VolumeOrder order;
    order.command = "restore";
    order.usage = restore_usage;
    order.request.call = ProvisionCall::restore;
    opterr = 0;
    optind = 0;
    for (;;) {
        const int code = ::getopt_long(count, words, ":yw::H:s:h", long_options.data(), nullptr);
        if (code == -1) break;
        order.word = words[optind - 1];
        if (const auto status = take_common_option(order, code)) return *status;
    }
    if (const auto status = take_words(order, true, count, words)) return *status;
    if (order.wait && !order.yes) return usage_error("restore", "--wait: needs --yes");
    return carry_out(order);
}

int snapshots_command(int count, char** words) {
    bool json = false;
    for (int i = 1; i < count; ++i) {
        const std::string_view word = words[i];
        if (word == "-h" || word == "--help") {
            std::fputs(list_usage, stdout);
            return answered;
        }
        if (word != "-j" && word != "--json")
            return usage_error("snapshots", fmt::format("{}: unexpected argument", word));
        json = true;
    }
    if (::geteuid() != 0) {
        std::fputs("holdfast-server snapshots: only root may list volumes; use sudo\n", stderr);
        return no_answer;
    }
    const auto listed = output_of_lvs();
    if (!listed) {
        std::fputs(fmt::format("holdfast-server snapshots: lvs: {}\n", listed.error().text).c_str(), stderr);
        return no_answer;
    }
    const std::vector<LogicalVolume> volumes = parse_lvs(*listed);
    std::fputs((json ? json_of(volumes) : table_of(volumes)).c_str(), stdout);
    return answered;
}

}  // namespace holdfast::server
