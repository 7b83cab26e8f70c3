// Logs a wait once per export, however many requests and connections wait.

#include "server/export/full_disks.hh"

#include <fmt/core.h>

#include <cerrno>
#include <utility>

#include "common/linux/log.hh"
#include "common/text/plural.hh"

namespace holdfast::server {

bool is_without_room(int error) noexcept { return error == ENOSPC || error == EDQUOT; }

std::string mend_of(const FullDiskName& disk) {
    if (!disk.pool.empty()) return "extend its thin pool: lvextend -L +10G " + disk.pool;
    if (disk.block) return "extend its thin pool, which lvs names, with lvextend";
    return "enlarge its file system, or free space there";
}

FullDisk::Wait::Wait(std::shared_ptr<FullDisk> full, const FullDiskName& disk, Clock::time_point now)
    : full_(std::move(full)) {
    full_->enter(disk, now);
}

void FullDisk::enter(const FullDiskName& disk, Clock::time_point now) {
    {
        const std::lock_guard lock(mutex_);
        ++counts_.waited;
        if (counts_.waiting++ == 0) since_ = now;
    }
    log_wait(disk, now);
}

// A client that frees some space and uses it up again would otherwise fill the log.
void FullDisk::log_wait(const FullDiskName& disk, Clock::time_point now) {
    {
        const std::lock_guard lock(mutex_);
        if (logged_ || (last_log_ && now - *last_log_ < log_period)) return;
        logged_ = true;
        last_log_ = now;
    }
    log::error(fmt::format("export {}: {} has no room, and writes wait for it (full = wait); {}", name_,
                           disk.path, mend_of(disk)));
}

void FullDisk::leave(End how, Clock::time_point now) {
    std::chrono::seconds waited{};
    {
        const std::lock_guard lock(mutex_);
        if (--counts_.waiting > 0 || !std::exchange(logged_, false)) return;
        waited = std::chrono::duration_cast<std::chrono::seconds>(now - since_);
    }
    switch (how) {
        case End::done:
            return log::notice(fmt::format("export {}: there is room again, and writes go on after {}", name_,
                                           counted(waited.count(), "second")));
        case End::failed:
            return log::notice(
                fmt::format("export {}: no write waits for room any more, after {}: the last one failed",
                            name_, counted(waited.count(), "second")));
        case End::dropped: break;
    }
    log::notice(fmt::format("export {}: no write waits for room any more, after {}: the connection ends",
                            name_, counted(waited.count(), "second")));
}

FullDisk::Counts FullDisk::counts() const {
    const std::lock_guard lock(mutex_);
    return counts_;
}

// An export that is no longer in the configuration goes on as its connections began.
void FullDisks::configure(std::shared_ptr<const Config> config) {
    const std::lock_guard lock(mutex_);
    config_ = std::move(config);
    for (const auto& [name, disk] : disks_) {
        if (const auto now = config_->export_for(name)) disk->set_waits(now->wait_if_full);
    }
}

std::shared_ptr<FullDisk> FullDisks::of(const ExportConfig& config) {
    const std::lock_guard lock(mutex_);
    std::shared_ptr<FullDisk>& disk = disks_[config.name];
    if (!disk) {
        const auto now = config_ ? config_->export_for(config.name) : std::nullopt;
        disk = std::make_shared<FullDisk>(config.name, now ? now->wait_if_full : config.wait_if_full);
    }
    return disk;
}

FullDisk::Counts FullDisks::counts(std::string_view export_name) const {
    const std::lock_guard lock(mutex_);
    const auto found = disks_.find(export_name);
    return found == disks_.end() ? FullDisk::Counts{} : found->second->counts();
}

}  // namespace holdfast::server
