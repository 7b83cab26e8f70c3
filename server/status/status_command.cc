// Prints the answer of the server as received.

#include "server/status/status_command.hh"

#include <fmt/core.h>
#include <getopt.h>

#include <array>
#include <cstdio>
#include <expected>
#include <string>

#include "server/config/config.hh"
#include "server/status/status_query.hh"

namespace holdfast::server {
namespace {

constexpr const char* usage_text =
    "usage: holdfast-server status [--json | --prometheus] [--socket PATH]\n"
    "\n"
    "Show the connections and counters of the running server.\n"
    "\n"
    "  -j, --json         print one JSON object\n"
    "  -p, --prometheus   print the Prometheus text format\n"
    "  -s, --socket PATH  connect to this statussocket; default /run/holdfast-server/status.sock\n"
    "  -h, --help         show this help\n";

}  // namespace

int status_command(int count, char** words) {
    constexpr std::array long_options{
        option{"json", no_argument, nullptr, 'j'},
        option{"prometheus", no_argument, nullptr, 'p'},
        option{"socket", required_argument, nullptr, 's'},
        option{"help", no_argument, nullptr, 'h'},
        option{nullptr, 0, nullptr, 0},
    };
    std::string path(default_status_socket);
    const char* what = "/status";
    bool json = false;
    bool prometheus = false;
    opterr = 0;
    optind = 0;
    for (;;) {
        const int code = ::getopt_long(count, words, ":jps:h", long_options.data(), nullptr);
        if (code == -1) break;
        switch (code) {
            case 'j':
                json = true;
                what = "/status.json";
                break;
            case 'p':
                prometheus = true;
                what = "/metrics";
                break;
            case 's': path = optarg; break;
            case 'h': std::fputs(usage_text, stdout); return answered;
            case ':': return usage_error("status", fmt::format("{}: missing argument", words[optind - 1]));
            default: return usage_error("status", fmt::format("{}: unknown option", words[optind - 1]));
        }
    }
    if (optind < count) return usage_error("status", fmt::format("{}: unexpected argument", words[optind]));
    if (json && prometheus)
        return usage_error("status", "--json and --prometheus are mutually exclusive; use one of them");
    const std::expected<std::string, std::string> answer = ask_server(path, what);
    if (!answer) {
        std::fputs(
            fmt::format("holdfast-server status: no answer from {}: {}\n", path, answer.error()).c_str(),
            stderr);
        return no_answer;
    }
    std::fputs(answer->c_str(), stdout);
    return answered;
}

}  // namespace holdfast::server
