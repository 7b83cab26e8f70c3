// Attempts the requests in turn: a large one that still finds no room does not keep the others from trying.

#include "server/connection/full_disk_waits.hh"

#include <algorithm>
#include <utility>

namespace holdfast::server {

FullDiskWaits::FullDiskWaits(const OpenExport& opened)
    : full_(opened.full_disk()),
      disk_(opened.full_disk_name()),
      possible_(opened.volume().fails_before_caching()) {}

// A flush that fails with ENOSPC reports a lost write, and is answered. A request with FUA whose flush fails
// is carried out again as a whole, so its own data are safe at the end; the loss of others' data is recorded
// (lost_writes.hh).
bool FullDiskWaits::applies_to(const nbd::Request& request, const SysError& error) const {
    if (!possible_ || !is_without_room(error.code) || !full_->waits()) return false;
    switch (static_cast<nbd::Command>(request.command)) {
        case nbd::Command::write:
        case nbd::Command::trim:
        case nbd::Command::write_zeroes: return true;
        case nbd::Command::read:
        case nbd::Command::disconnect:
        case nbd::Command::flush:
        case nbd::Command::cache:
        case nbd::Command::block_status: break;
    }
    return false;
}

void FullDiskWaits::begin_or_go_on(std::unique_ptr<FullDisk::Wait>& wait, Clock::time_point now) {
    if (wait) {
        wait->goes_on(disk_, now);
    } else {
        wait = std::make_unique<FullDisk::Wait>(full_, disk_, now);
    }
}

void FullDiskWaits::add(std::unique_ptr<DiskJob> job, Clock::time_point now) {
    const bool again = job->wait != nullptr;
    begin_or_go_on(job->wait, now);
    // A request that fails for the first time does not postpone the next attempt of others.
    if (again || jobs_.empty()) {
        pause_ = std::clamp(pause_ * 2, first_pause, longest_pause);
        next_ = now + pause_;
    }
    jobs_.push_back(std::move(job));
}

std::vector<std::unique_ptr<DiskJob>> FullDiskWaits::take_due(Clock::time_point now) {
    std::vector<std::unique_ptr<DiskJob>> due;
    if (jobs_.empty() || now < next_) return due;
    const std::size_t count = std::exchange(all_due_, false) ? jobs_.size() : 1;
    for (std::size_t i = 0; i < count; ++i) {
        due.push_back(std::move(jobs_.front()));
        jobs_.pop_front();
    }
    next_ = now + std::max(pause_, first_pause);
    return due;
}

void FullDiskWaits::ended(std::unique_ptr<FullDisk::Wait>& wait, const Result<void>& outcome,
                          Clock::time_point now) {
    if (!wait) return;
    wait->end(outcome);
    wait.reset();
    // The answer of a request that fails, after a reload, goes for all others, too.
    pause_ = {};
    next_ = now;
    all_due_ = true;
}

Clock::time_point FullDiskWaits::hold(std::unique_ptr<FullDisk::Wait>& wait, Clock::time_point now) {
    begin_or_go_on(wait, now);
    pause_ = std::clamp(pause_ * 2, first_pause, longest_pause);
    return now + pause_;
}

}  // namespace holdfast::server
