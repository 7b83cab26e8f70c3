// Keeps a list per name; a name has hundreds of connections at most.

#include "server/export/disks_in_use.hh"

#include <fmt/core.h>

#include <algorithm>

#include "common/text/plural.hh"

namespace holdfast::server {
namespace {

bool is_same_disk(const DiskKey& one, const DiskKey& other) {
    return one.device == other.device && one.inode == other.inode;
}

}  // namespace

std::optional<std::string> DisksInUse::find_conflict(const std::string& name, const Use& use) const {
    const auto found = uses_.find(name);
    if (found == uses_.end()) return std::nullopt;
    const auto in_the_way = [&](const Use& other) {
        if (is_same_disk(other.disk, use.disk)) return false;
        return !other.read_only || !use.read_only || other.client == use.client;
    };
    const auto count = std::ranges::count_if(found->second, in_the_way);
    if (count == 0) return std::nullopt;
    const Use& other = *std::ranges::find_if(found->second, in_the_way);
    return fmt::format(
        "{} is not the disk that was exported before; {} still {} the old one ({}); connect again when {} "
        "ended",
        use.path, counted(static_cast<std::uint64_t>(count), "connection"), count == 1 ? "uses" : "use",
        other.path, count == 1 ? "it has" : "they have");
}

std::optional<std::string> DisksInUse::conflict(const std::string& name, const Use& use) const {
    const std::lock_guard lock(mutex_);
    return find_conflict(name, use);
}

std::optional<std::string> DisksInUse::enter(const std::string& name, const Use& use) {
    const std::lock_guard lock(mutex_);
    if (auto why = find_conflict(name, use)) return why;
    uses_[name].push_back(use);
    return std::nullopt;
}

void DisksInUse::leave(const std::string& name, const Use& use) {
    const std::lock_guard lock(mutex_);
    const auto found = uses_.find(name);
    if (found == uses_.end()) return;
    const auto one = std::ranges::find_if(found->second, [&](const Use& other) {
        return is_same_disk(other.disk, use.disk) && other.client == use.client &&
               other.read_only == use.read_only;
    });
    if (one != found->second.end()) found->second.erase(one);
    if (found->second.empty()) uses_.erase(found);
}

DisksInUse::Others DisksInUse::others_than(std::string_view name, std::string_view path) const {
    const std::lock_guard lock(mutex_);
    Others others;
    const auto found = uses_.find(name);
    if (found == uses_.end()) return others;
    for (const Use& one : found->second) {
        if (one.path == path) continue;
        others.path = one.path;
        ++others.connections;
    }
    return others;
}

}  // namespace holdfast::server
