// The words of the command line become a request to holdfast-provision.

#include "server/status/volume_change.hh"

#include <fmt/core.h>
#include <getopt.h>

#include <array>
#include <string_view>
#include <utility>

#include "common/access/address.hh"
#include "server/status/provision_request.hh"
#include "server/status/status_query.hh"

namespace holdfast::server {
namespace {

constexpr const char* usage_text =
    "usage: holdfast-server volumes reset HOST --export NAME [--yes [--wait[=SECONDS]]]\n"
    "       holdfast-server volumes remove HOST --export NAME [--yes [--wait[=SECONDS]]]\n"
    "       holdfast-server volumes promote HOST --export NAME [--yes [--wait[=SECONDS]]]\n"
    "       holdfast-server volumes sweep [--yes]\n"
    "\n"
    "Remove the volume that was made for a host, and with reset make it again as the\n"
    "configuration says; all data of the host on it are lost. With promote, make the\n"
    "host's state the golden volume; other hosts keep theirs until they are reset.\n"
    "A volume in use is refused, unless --wait is given. HOST may be the session of a\n"
    "volume of an export with copyonwrite. With sweep, remove the volumes of sessions\n"
    "that were lost for longer than copyonwritekeep; holdfast-sweep.timer does so.\n"
    "\n"
    "  -e, --export NAME     export of the volume; required\n"
    "  -y, --yes             do it; by default only say what would be done\n"
    "  -w, --wait[=SECONDS]  wait until the volume is no longer in use;\n"
    "                        default without SECONDS: for any time\n"
    "  -s, --socket PATH     socket of holdfast-provision;\n"
    "                        default /run/holdfast-provision/provision.sock\n"
    "  -h, --help            show this help\n";

ProvisionCall call_of(std::string_view word) {
    if (word == "reset") return ProvisionCall::reset;
    if (word == "sweep") return ProvisionCall::sweep_sessions;
    return word == "promote" ? ProvisionCall::promote : ProvisionCall::remove;
}

// Checks the words after the options: the host and the options of all commands but sweep.
std::optional<std::string_view> fault_of(VolumeOrder& wanted, int count, char** words) {
    if (wanted.request.call == ProvisionCall::sweep_sessions) {
        if (optind != count) return "sweep: takes no host";
        if (wanted.wait || !wanted.request.name.empty())
            return "sweep: is for all exports, and waits for no volume";
        return std::nullopt;
    }
    if (optind + 1 != count) return "name one host: its address, name or MAC address";
    wanted.request.host = words[optind];
    if (const auto address = parse_address(wanted.request.host)) wanted.request.host = to_string(*address);
    if (wanted.wait && !wanted.yes) return "--wait: needs --yes";
    if (wanted.request.name.empty()) return "missing --export; name the export";
    return std::nullopt;
}

}  // namespace

int volume_change_command(int count, char** words) {
    constexpr std::array long_options{
        option{"export", required_argument, nullptr, 'e'}, option{"yes", no_argument, nullptr, 'y'},
        option{"wait", optional_argument, nullptr, 'w'},   option{"socket", required_argument, nullptr, 's'},
        option{"help", no_argument, nullptr, 'h'},         option{nullptr, 0, nullptr, 0},
    };
    VolumeOrder wanted;
    wanted.command = "volumes";
    wanted.usage = usage_text;
    wanted.request.call = call_of(words[0]);
    opterr = 0;
    optind = 0;
    for (;;) {
        const int code = ::getopt_long(count, words, ":e:yw::s:h", long_options.data(), nullptr);
        if (code == -1) break;
        wanted.word = words[optind - 1];
        if (code == 'e') {
            wanted.request.name = optarg;
            continue;
        }
        if (const auto status = take_common_option(wanted, code)) return *status;
    }
    if (const auto fault = fault_of(wanted, count, words)) return usage_error("volumes", *fault);
    return carry_out(std::move(wanted));
}

}  // namespace holdfast::server
