// Uses a single lock, held for a few instructions: memory is borrowed in large steps, and kept while in use.

#include "server/transport/budget.hh"

#include <algorithm>

namespace holdfast::server {

namespace {

constexpr std::uint64_t largest_share = 4;  // divisor of the limit: maximum for an export or an address

}  // namespace

Budget::Groups::iterator Budget::join(Groups& groups, std::string_view name) {
    const auto group = groups.try_emplace(std::string(name)).first;
    ++group->second.members;
    return group;
}

void Budget::leave(Groups& groups, Groups::iterator group) {
    if (--group->second.members == 0) groups.erase(group);
}

Budget::Borrower Budget::borrower(std::string_view export_name, std::string_view place) {
    const std::lock_guard lock(mutex_);
    return {*this, join(exports_, export_name), join(places_, place)};
}

void Budget::set_limit(std::uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    limit_ = bytes;
}

std::uint64_t Budget::borrowed() const {
    const std::lock_guard lock(mutex_);
    return borrowed_;
}

Budget::Borrower::~Borrower() {
    if (budget_ == nullptr) return;
    keep(0);
    const std::lock_guard lock(budget_->mutex_);
    Budget::leave(budget_->exports_, export_);
    Budget::leave(budget_->places_, place_);
}

bool Budget::Borrower::borrow(std::uint64_t bytes) {
    const std::lock_guard lock(budget_->mutex_);
    Group& of_export = export_->second;
    Group& of_place = place_->second;
    const std::uint64_t used = budget_->borrowed_ + bytes;
    const std::uint64_t limit = budget_->limit_;
    const std::uint64_t most = std::min(limit / largest_share, limit - std::min(limit, used));
    if (std::max(of_export.borrowed, of_place.borrowed) + bytes > most) {
        budget_->refusals_.fetch_add(1, std::memory_order_relaxed);
        return false;
    }
    budget_->borrowed_ = used;
    of_export.borrowed += bytes;
    of_place.borrowed += bytes;
    borrowed_ += bytes;
    return true;
}

void Budget::Borrower::keep(std::uint64_t bytes) {
    if (borrowed_ <= bytes) return;
    const std::uint64_t back = borrowed_ - bytes;
    const std::lock_guard lock(budget_->mutex_);
    budget_->borrowed_ -= back;
    export_->second.borrowed -= back;
    place_->second.borrowed -= back;
    borrowed_ = bytes;
}

}  // namespace holdfast::server
