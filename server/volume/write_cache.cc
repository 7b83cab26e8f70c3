// Walks the stack of disks in /sys. A device-mapper target with metadata of its own (thin, cache, era)
// reports "write back", whatever is below.

#include "server/volume/write_cache.hh"

#include <fmt/core.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string_view>
#include <vector>

#include "common/linux/text_file.hh"

namespace holdfast::server {
namespace {

namespace fs = std::filesystem;

constexpr int most_layers = 16;
// SCSI and SATA, NVMe, SD and eMMC. Not virtio and Xen: if their host offers no flush, they also report
// "write through", and the host's memory may hold acknowledged writes.
constexpr std::array<std::string_view, 3> reporting_kinds{"sd", "nvme", "mmcblk"};

std::vector<fs::path> entries_of(const fs::path& folder) {
    std::vector<fs::path> found;
    std::error_code error;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
        found.push_back(at->path());
    return found;
}

bool keeps_what_it_answers(const fs::path& link, int layers) {
    std::error_code error;
    fs::path disk = fs::canonical(link, error);
    if (error || layers == 0) return false;
    if (fs::exists(disk / "partition", error)) disk = disk.parent_path();
    const auto cache = read_text_file((disk / "queue/write_cache").string(), 4096);
    if (!cache || *cache != "write through\n") return false;
    const std::string name = disk.filename().string();
    const std::vector<fs::path> below = entries_of(disk / "slaves");
    if (below.empty())
        return std::ranges::any_of(reporting_kinds,
                                   [&](std::string_view kind) { return name.starts_with(kind); });
    return name.starts_with("dm-") && std::ranges::all_of(below, [&](const fs::path& one) {
               return keeps_what_it_answers(one, layers - 1);
           });
}

}  // namespace

bool may_lose_writes(dev_t device, const std::string& sys) {
    return !keeps_what_it_answers(fmt::format("{}/dev/block/{}:{}", sys, major(device), minor(device)),
                                  most_layers);
}

}  // namespace holdfast::server
