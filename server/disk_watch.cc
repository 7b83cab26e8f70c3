// Checks all open disks after each notice, because notices may be lost.

#include "server/disk_watch.hh"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

namespace holdfast::server {
namespace {

// A single change causes several notices.
constexpr std::chrono::milliseconds gathering{50};
// udev makes the names of a new volume after the kernel's notice.
constexpr std::chrono::seconds naming{1};
// Shortest time between two checks of the paths, each of which costs a process.
constexpr std::chrono::seconds between_paths{5};

}  // namespace

void DiskWatch::open() {
    Result<void> opened = events_.open();
    if (opened && !epoll_.watch(events_.descriptor())) opened = sys_error("epoll_ctl");
    std::string why;
    if (!opened)
        why = opened.error().message();
    else if (!sends_notices_here())
        why = "not sent to this network namespace, which is not of the initial user namespace";
    if (why.empty()) return;
    polls_ = true;
    log::info(fmt::format(
        "the kernel's notices of block devices: {}; checking open disks every second instead", why));
}

bool DiskWatch::on_input(int fd, Clock::time_point now) {
    if (fd != events_.descriptor()) return false;
    if (!events_.receive() || stopped_) return true;
    sizes_due_ = std::min(sizes_due_, now + gathering);
    if (paths_due_ == no_deadline) paths_due_ = std::max(now + naming, paths_checked_ + between_paths);
    return true;
}

Deadline DiskWatch::deadline() const noexcept { return std::min(sizes_due_, paths_due_); }

void DiskWatch::on_time(Clock::time_point now) {
    if (stopped_) return;
    // A server without clients has no timer.
    if (polls_ && sizes_due_ == no_deadline && !connections_.empty()) sizes_due_ = now + poll_period;
    if (sizes_due_ <= now) {
        sizes_due_ = no_deadline;
        check_sizes();
    }
    if (paths_due_ <= now) {
        paths_due_ = no_deadline;
        paths_checked_ = now;
        paths_.ask_for_changes();
    }
}

void DiskWatch::stop() noexcept {
    stopped_ = true;
    sizes_due_ = paths_due_ = no_deadline;
}

// Nothing if the client would not be offered the same disk again.
std::optional<ExportConfig> DiskWatch::config_of(const Connection& connection) const {
    const Connection::Served& served = *connection.served();
    std::optional<ExportConfig> config = config_->export_for(served.export_name);
    if (config && config->by_session()) config = export_of_session(*config, served.own_session);
    if (!config || path_for_client(*config, connection.peer().host) != served.disk.path) return std::nullopt;
    return config;
}

void DiskWatch::check_sizes() {
    const std::map<DiskKey, VolumeTraits> disks = shared_.volumes.device_traits();
    present_.clear();
    for (const Connection* const one : connections_.serving()) {
        const Connection::Served& served = *one->served();
        const auto disk = disks.find(served.disk.disk);
        if (disk == disks.end()) continue;
        const std::optional<ExportConfig> config = config_of(*one);
        const SizeChange change = size_change(served.size, config ? &*config : nullptr, disk->second);
        const SizeNews news{served.export_name, served.disk.path, one->peer().name, served.size,
                            served.in_session};
        if (change.kind == SizeChange::Kind::grown)
            report(log::Level::notice, grown_text(news, change));
        else if (change.kind != SizeChange::Kind::none)
            report(log::Level::error, shrunk_text(news, change));
    }
    reported_ = std::exchange(present_, {});
}

void DiskWatch::report(log::Level level, const std::string& text) {
    if (present_.insert(text).second && !reported_.contains(text)) log::write(level, text);
}

}  // namespace holdfast::server
