// A count for each disk, and for each writer what the count was when it began.

#include "server/losses.hh"

#include <fmt/format.h>

#include <bit>
#include <utility>

#include "common/linux/log.hh"

namespace holdfast::server {

Writer& Writer::operator=(Writer&& other) noexcept {
    std::swap(disk_, other.disk_);
    std::swap(began_, other.began_);
    std::swap(nameless_, other.nameless_);
    return *this;
}

Writer::~Writer() {
    if (disk_ && nameless_) disk_->leave_nameless();
}

Result<void> Writer::check() const {
    if (!disk_ || disk_->count_ <= began_) return {};
    if (nameless_) disk_->told_nameless();
    return std::unexpected(SysError{disk_->last_error_, "a write or flush, now or earlier"});
}

void DiskLosses::add(int error) {
    last_error_ = error;  // first: who sees the count looks for it
    const std::uint64_t count = ++count_;
    if (count > 16 && !std::has_single_bit(count)) return;
    log::error(fmt::format("{}: what was written to it may be lost: {}; flushes fail for whoever was there",
                           name_, SysError{error, "write or flush"}.message()));
}

std::uint64_t DiskLosses::session_began(const nbd::Uuid& session, bool first) {
    const std::lock_guard lock(mutex_);
    if (const auto known = sessions_.find(session); known != sessions_.end()) return known->second;
    // Without a loss there is nothing to remember: whoever is here now was here before the first one.
    if (!first || count_ == 0) return 0;
    if (sessions_.size() == most_sessions) {
        sessions_.erase(oldest_first_.front());
        oldest_first_.pop_front();
    }
    oldest_first_.push_back(session);
    return sessions_[session] = count_;
}

Writer DiskLosses::begin(const nbd::Uuid& session, bool first) {
    return {shared_from_this(), session_began(session, first), false};
}

Writer DiskLosses::begin_nameless() {
    const std::lock_guard lock(mutex_);
    if (nameless_ == 0 && nameless_told_) {
        nameless_began_ = count_;
        nameless_told_ = false;
    }
    ++nameless_;
    return {shared_from_this(), nameless_began_, true};
}

void DiskLosses::leave_nameless() {
    const std::lock_guard lock(mutex_);
    --nameless_;
}

void DiskLosses::told_nameless() {
    const std::lock_guard lock(mutex_);
    nameless_told_ = true;
}

std::shared_ptr<DiskLosses> Losses::of(const std::string& identity, const std::string& name) {
    const std::lock_guard lock(mutex_);
    // Disks that nobody uses and that have lost nothing: there are never more of the others than there are
    // disks.
    std::erase_if(disks_, [](const auto& one) { return one.second.use_count() == 1 && !one.second->any(); });
    std::shared_ptr<DiskLosses>& disk = disks_[identity];
    if (!disk) disk = std::make_shared<DiskLosses>(name);
    return disk;
}

}  // namespace holdfast::server
