// Asks after look_around(): a path that has just answered does not block.

#include "server/opener/disk_uses.hh"

#include <fmt/core.h>
#include <sys/stat.h>

#include <string>

#include "server/opener/disk_holders.hh"
#include "server/opener/disk_opening.hh"
#include "server/opener/guest_volumes.hh"

namespace holdfast::server {
namespace {

void add_use(const ExportConfig& config, dev_t device, Surroundings& around) {
    const std::string use = lvm_use_of(device);
    const std::string holder = config.readonly ? std::string() : kernel_holder_of(device);
    if (!holder.empty()) around.refusing.insert(config.name);
    if (!use.empty()) {
        around.warnings.push_back(
            {config.position,
             fmt::format(
                 "[{}]: {}: this machine's LVM uses the disk: {}; exclude the disk from LVM here, see "
                 "LVM in holdfast-server(8)",
                 config.name, config.path, use)});
    } else if (!holder.empty()) {
        around.warnings.push_back(
            {config.position, fmt::format("[{}]: {} is in use: {}; clients are refused until it is free",
                                          config.name, config.path, holder)});
    }
}

// The page cache takes every write, and the device refuses the data later, when nobody can wait any more.
void warn_of_wait(const ExportConfig& config, Surroundings& around) {
    if (config.readonly || !config.wait_if_full) return;
    around.warnings.push_back(
        {config.position,
         fmt::format(
             "[{}]: full = wait has no effect on a block device with the page cache; set cache = none",
             config.name)});
}

void add_wait_without_effect(const ExportConfig& config, Surroundings& around) {
    const auto direct = find_direct({config.path, true, 0, config.direct()});
    if (direct && !*direct) warn_of_wait(config, around);
}

}  // namespace

void add_uses(const Config& config, const HangingPaths& left_out, Surroundings& around) {
    const HangingPaths hanging(around.hanging.begin(), around.hanging.end());
    for (const ExportConfig& one : config.exports) {
        // Volumes that may not exist yet; without `cache` they are opened without the page cache.
        if (one.created && one.direct() == false) warn_of_wait(one, around);
        if (one.is_virtual() || hanging.contains(one.path) || left_out.contains(one.path)) continue;
        struct stat status {};
        if (::stat(one.path.c_str(), &status) != 0 || !S_ISBLK(status.st_mode)) continue;
        add_use(one, status.st_rdev, around);
        add_wait_without_effect(one, around);
    }
}

}  // namespace holdfast::server
