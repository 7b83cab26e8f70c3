// Keeps an entry only for names with connections.

#include "server/export/connection_counts.hh"

namespace holdfast::server {

bool ConnectionCounts::enter(const std::string& name, std::uint32_t limit) {
    const std::lock_guard lock(mutex_);
    std::uint32_t& count = counts_[name];
    if (limit != 0 && count >= limit) return false;
    ++count;
    return true;
}

void ConnectionCounts::leave(const std::string& name) {
    const std::lock_guard lock(mutex_);
    const auto found = counts_.find(name);
    if (--found->second == 0) counts_.erase(found);
}

std::uint32_t ConnectionCounts::count(std::string_view name) const {
    const std::lock_guard lock(mutex_);
    const auto found = counts_.find(name);
    return found == counts_.end() ? 0 : found->second;
}

}  // namespace holdfast::server
