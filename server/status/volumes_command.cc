// Joins the server's list with lvs(8) by the device numbers: a volume has several paths.

#include "server/status/volumes_command.hh"

#include <errno.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <getopt.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "common/linux/fd.hh"
#include "common/linux/log.hh"
#include "server/config/config.hh"
#include "server/status/lvs_program.hh"
#include "server/status/status_query.hh"
#include "server/status/volume_change.hh"
#include "server/status/volume_list.hh"

namespace holdfast::server {
namespace {

constexpr const char* usage_text =
    "usage: holdfast-server volumes [--json | --prometheus] [--socket PATH]\n"
    "       holdfast-server volumes reset | remove | promote HOST --export NAME [--yes] [--wait[=SECONDS]]\n"
    "       holdfast-server volumes sweep [--yes]\n"
    "\n"
    "List the exports of the running server with their disks and clients.\n"
    "Root also sees logical volumes, and how full thin ones and their pools are.\n"
    "\n"
    "  -j, --json         print one JSON object\n"
    "  -p, --prometheus   print the Prometheus text format\n"
    "  -s, --socket PATH  connect to this statussocket; default /run/holdfast-server/status.sock\n"
    "  -h, --help         show this help\n";

// Adds the present size, and the facts of a logical volume. O_NONBLOCK and no reads: nothing of the disk is
// looked at.
void add_disk_facts(VolumeRow& row, const std::vector<LogicalVolume>& volumes) {
    struct stat status {};
    if (row.path.empty() || ::stat(row.path.c_str(), &status) != 0) return;
    if (S_ISREG(status.st_mode)) row.size = static_cast<std::uint64_t>(status.st_size);
    if (!S_ISBLK(status.st_mode)) return;
    if (add_volume_facts(row, volumes, static_cast<int>(major(status.st_rdev)),
                         static_cast<int>(minor(status.st_rdev))))
        return;
    std::uint64_t size = 0;
    const Fd disk(::open(row.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (disk && ::ioctl(disk.get(), BLKGETSIZE64, &size) == 0) row.size = size;
}

// Whether a host's disk of before no longer exists.
bool is_of_removed_disk(const VolumeRow& row) {
    struct stat status {};
    return !row.host.empty() && row.client.empty() && ::stat(row.path.c_str(), &status) != 0 &&
           errno == ENOENT;
}

struct Wanted {
    std::string path{default_status_socket};
    bool json = false;
    bool prometheus = false;
};

std::string formatted(const std::vector<VolumeRow>& rows, const Wanted& wanted) {
    if (wanted.prometheus) return volumes_prometheus(rows);
    return wanted.json ? volumes_json(rows) : volumes_text(rows);
}

// To the journal if a unit runs this command, otherwise to the terminal.
void warn_of_pools(const std::vector<VolumeRow>& rows) {
    const std::vector<PoolWarning> warnings = pool_warnings(rows);
    if (warnings.empty()) return;
    log::open("holdfast-server", log::default_sink());
    for (const PoolWarning& one : warnings) {
        if (one.nearly_full)
            log::error(one.text);
        else
            log::warning(one.text);
    }
}

int list(const Wanted& wanted) {
    const auto answer = ask_server(wanted.path, "/volumes");
    if (!answer) {
        std::fputs(
            fmt::format("holdfast-server volumes: no answer from {}: {}\n", wanted.path, answer.error())
                .c_str(),
            stderr);
        return no_answer;
    }
    auto rows = decode_volumes(*answer);
    if (!rows) {
        std::fputs("holdfast-server volumes: the running server has another version; restart it\n", stderr);
        return no_answer;
    }
    const auto listed = output_of_lvs();
    if (!listed && !listed.error().not_for_us) {
        std::fputs(fmt::format("holdfast-server volumes: lvs: {}; logical volumes are missing\n",
                               listed.error().text)
                       .c_str(),
                   stderr);
        // Monitoring must not take missing figures for good ones.
        if (wanted.prometheus) return no_answer;
    }
    const std::vector<LogicalVolume> volumes = parse_lvs(listed.value_or(std::string()));
    for (VolumeRow& row : *rows) add_disk_facts(row, volumes);
    std::erase_if(*rows, is_of_removed_disk);
    const std::vector<VolumeRow> all = with_made_volumes(std::move(*rows), volumes);
    std::fputs(formatted(all, wanted).c_str(), stdout);
    warn_of_pools(all);
    return answered;
}

int list_command(int count, char** words) {
    constexpr std::array long_options{
        option{"json", no_argument, nullptr, 'j'},
        option{"prometheus", no_argument, nullptr, 'p'},
        option{"socket", required_argument, nullptr, 's'},
        option{"help", no_argument, nullptr, 'h'},
        option{nullptr, 0, nullptr, 0},
    };
    Wanted wanted;
    opterr = 0;
    optind = 0;
    for (;;) {
        const int code = ::getopt_long(count, words, ":jps:h", long_options.data(), nullptr);
        if (code == -1) break;
        switch (code) {
            case 'j': wanted.json = true; break;
            case 'p': wanted.prometheus = true; break;
            case 's': wanted.path = optarg; break;
            case 'h': std::fputs(usage_text, stdout); return answered;
            case ':': return usage_error("volumes", fmt::format("{}: missing argument", words[optind - 1]));
            default: return usage_error("volumes", fmt::format("{}: unknown option", words[optind - 1]));
        }
    }
    if (optind < count) return usage_error("volumes", fmt::format("{}: unexpected argument", words[optind]));
    if (wanted.json && wanted.prometheus)
        return usage_error("volumes", "--json and --prometheus are mutually exclusive; use one of them");
    return list(wanted);
}

}  // namespace

int volumes_command(int count, char** words) {
    const std::string_view change = count > 1 ? words[1] : "";
    return change == "reset" || change == "remove" || change == "promote" || change == "sweep"
               ? volume_change_command(count - 1, words + 1)
               : list_command(count, words);
}

}  // namespace holdfast::server
