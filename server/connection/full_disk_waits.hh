// Requests of one connection that found no room on the disk and wait for it (full = wait): when they are
// attempted again. At most one of them at a time is attempted, after a pause that grows; after a success,
// all of them.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <vector>

#include "common/linux/clock.hh"
#include "common/protocol/transmission.hh"
#include "server/connection/disk_job.hh"
#include "server/export/open_export.hh"

namespace holdfast::server {

// Used by the connection's thread only.
class FullDiskWaits {
public:
    static constexpr std::chrono::milliseconds first_pause{50};
    static constexpr std::chrono::milliseconds longest_pause{2000};
    // Maximum number of requests that wait; more than the Linux client has in flight.
    static constexpr std::size_t most = 256;

    // `opened` must outlive this object.
    explicit FullDiskWaits(const OpenExport& opened);

    // Whether a request with this outcome waits for room.
    [[nodiscard]] bool applies(const nbd::Request& request, const Result<void>& outcome) const {
        return !outcome && applies_to(request, outcome.error());
    }

    // Keeps a request, and the memory of its data, until the next attempt.
    void add(std::unique_ptr<DiskJob> job, Clock::time_point now);
    // Takes the requests whose attempt is due.
    [[nodiscard]] std::vector<std::unique_ptr<DiskJob>> take_due(Clock::time_point now);
    // Call with the outcome of a request or piece, unless it waits again.
    void ended(std::unique_ptr<FullDisk::Wait>& wait, const Result<void>& outcome, Clock::time_point now);

    // A piece of a write, which the caller keeps, and which holds up the connection. Returns the time of the
    // next attempt.
    [[nodiscard]] Clock::time_point hold(std::unique_ptr<FullDisk::Wait>& wait, Clock::time_point now);

    // Whether no request is kept here. Requests that are being attempted are not.
    [[nodiscard]] bool empty() const noexcept { return jobs_.empty(); }
    [[nodiscard]] bool is_full() const noexcept { return jobs_.size() >= most; }
    // Time of the next attempt.
    [[nodiscard]] Deadline deadline() const noexcept { return jobs_.empty() ? no_deadline : next_; }

private:
    [[nodiscard]] bool applies_to(const nbd::Request& request, const SysError& error) const;
    void begin_or_go_on(std::unique_ptr<FullDisk::Wait>& wait, Clock::time_point now);

    const std::shared_ptr<FullDisk> full_;
    const FullDiskName disk_;
    const bool possible_;  // the disk refuses a write before it is acknowledged
    std::deque<std::unique_ptr<DiskJob>> jobs_;
    std::chrono::milliseconds pause_{0};  // the last one; 0 after a success
    Clock::time_point next_{};            // valid only while there are jobs
    bool all_due_ = false;                // there was a success since the last attempt
};

}  // namespace holdfast::server
