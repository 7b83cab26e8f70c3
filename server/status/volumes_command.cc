// Joins the server's list with lvs(8) by the device numbers: a volume has several paths.

#include "server/status/volumes_command.hh"

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
#include <memory>
#include <string>

#include "common/linux/fd.hh"
#include "server/config/config.hh"
#include "server/status/status_query.hh"
#include "server/status/volume_list.hh"

namespace holdfast::server {
namespace {

constexpr const char* usage_text =
    "usage: holdfast-server volumes [--json] [--socket PATH]\n"
    "\n"
    "List the exports of the running server with their disks and clients.\n"
    "Root also sees logical volumes, and how full thin ones are.\n"
    "\n"
    "  -j, --json         print one JSON object\n"
    "  -s, --socket PATH  connect to this statussocket; default /run/holdfast-server/status.sock\n"
    "  -h, --help         show this help\n";

// Returns what lvs prints; empty without root's rights, or without LVM.
std::string output_of_lvs() {
    if (::geteuid() != 0) return {};
    const std::string command = fmt::format(
        "LC_ALL=C lvs --noheadings --nosuffix --units b --separator , -o {} 2>/dev/null", lvs_columns);
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(::popen(command.c_str(), "re"), ::pclose);
    std::string text;
    std::array<char, 4096> bytes;
    while (pipe) {
        const std::size_t count = std::fread(bytes.data(), 1, bytes.size(), pipe.get());
        if (count == 0) break;
        text.append(bytes.data(), count);
    }
    return text;
}

// Adds the present size, and the facts of a logical volume. O_NONBLOCK and no reads: nothing of the disk is
// looked at.
void add_disk_facts(VolumeRow& row, const std::vector<LogicalVolume>& volumes) {
    struct stat status {};
    if (row.path.empty() || ::stat(row.path.c_str(), &status) != 0) return;
    if (S_ISREG(status.st_mode)) row.size = static_cast<std::uint64_t>(status.st_size);
    if (!S_ISBLK(status.st_mode)) return;
    const auto same = std::ranges::find_if(volumes, [&](const LogicalVolume& one) {
        return one.major == static_cast<int>(major(status.st_rdev)) &&
               one.minor == static_cast<int>(minor(status.st_rdev));
    });
    if (same != volumes.end()) {
        row.volume = same->name;
        row.size = same->size;
        if (!same->used.empty()) row.used = same->used;
        return;
    }
    std::uint64_t size = 0;
    const Fd disk(::open(row.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (disk && ::ioctl(disk.get(), BLKGETSIZE64, &size) == 0) row.size = size;
}

struct Wanted {
    std::string path{default_status_socket};
    bool json = false;
};

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
    const std::vector<LogicalVolume> volumes = parse_lvs(output_of_lvs());
    for (VolumeRow& row : *rows) add_disk_facts(row, volumes);
    std::fputs((wanted.json ? volumes_json(*rows) : volumes_text(*rows)).c_str(), stdout);
    return answered;
}

}  // namespace

int volumes_command(int count, char** words) {
    constexpr std::array long_options{
        option{"json", no_argument, nullptr, 'j'},
        option{"socket", required_argument, nullptr, 's'},
        option{"help", no_argument, nullptr, 'h'},
        option{nullptr, 0, nullptr, 0},
    };
    Wanted wanted;
    opterr = 0;
    optind = 0;
    for (;;) {
        const int code = ::getopt_long(count, words, ":js:h", long_options.data(), nullptr);
        if (code == -1) break;
        switch (code) {
            case 'j': wanted.json = true; break;
            case 's': wanted.path = optarg; break;
            case 'h': std::fputs(usage_text, stdout); return answered;
            case ':': return usage_error("volumes", fmt::format("{}: missing argument", words[optind - 1]));
            default: return usage_error("volumes", fmt::format("{}: unknown option", words[optind - 1]));
        }
    }
    if (optind < count) return usage_error("volumes", fmt::format("{}: unexpected argument", words[optind]));
    return list(wanted);
}

}  // namespace holdfast::server
