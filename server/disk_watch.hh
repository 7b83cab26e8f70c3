// Follows the disks under connected clients, and logs those that have grown, have shrunk, or are gone. NBD
// has no message for a new size: a client learns of growth from its own probe, or when it reconnects. The
// server ends no connection for this purpose, because it cannot know whether the client would accept the next
// offer. Main thread only; no function waits.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "common/linux/clock.hh"
#include "common/linux/epoll.hh"
#include "common/linux/log.hh"
#include "server/connection/connection_list.hh"
#include "server/current_config.hh"
#include "server/path_warnings.hh"
#include "server/size_change.hh"
#include "server/volume/block_events.hh"

namespace holdfast::server {

class DiskWatch {
public:
    // Period of the checks if the kernel sends no notices.
    static constexpr std::chrono::milliseconds poll_period{1000};

    // All arguments must outlive this object.
    DiskWatch(const Epoll& epoll, Shared& shared, ConnectionList& connections, PathWarnings& paths,
              const CurrentConfig& config)
        : epoll_(epoll), shared_(shared), connections_(connections), paths_(paths), config_(config) {}

    // Opens the source of notices; logs if there is none. Call before the system call filter.
    void open();
    // Handles input on a watched descriptor. False: the descriptor belongs to something else.
    [[nodiscard]] bool on_input(int fd, Clock::time_point now);
    [[nodiscard]] Deadline deadline() const noexcept;
    void on_time(Clock::time_point now);
    // Checks nothing from now on.
    void stop() noexcept;

private:
    void check_sizes();
    [[nodiscard]] std::optional<ExportConfig> config_of(const Connection& connection) const;
    // Logs the text unless it was logged at the last check, too.
    void report(log::Level level, const std::string& text);

    const Epoll& epoll_;
    Shared& shared_;
    ConnectionList& connections_;
    PathWarnings& paths_;
    const CurrentConfig& config_;
    BlockEvents events_;
    bool polls_ = false;  // the kernel sends no notices
    bool stopped_ = false;
    Deadline sizes_due_ = no_deadline;  // next check of the sizes
    Deadline paths_due_ = no_deadline;  // next check of the paths
    Clock::time_point paths_checked_{};
    std::set<std::string> reported_;  // texts of the last check
    std::set<std::string> present_;   // texts of the present check
};

}  // namespace holdfast::server
