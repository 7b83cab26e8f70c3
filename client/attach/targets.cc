// Collects targets. Addresses beyond the limit are counted; the warning names the first.

#include "client/attach/targets.hh"

#include "client/address/uri.hh"

#include <fmt/core.h>

#include <utility>

namespace holdfast::client {

bool TargetList::add(Endpoint endpoint, const ServerAddress& server) {
    if (targets_.size() < most_targets) {
        targets_.push_back({std::move(endpoint), server.export_name, to_uri(server)});
        return true;
    }
    if (left_out_++ == 0) first_left_out_ = fmt::format("{} ({})", to_uri(server), endpoint.text);
    return false;
}

std::string TargetList::warning() const {
    if (left_out_ == 0) return {};
    return fmt::format(
        "servers: {} addresses in all, of which the first {} are used; name fewer servers, or give them "
        "fewer addresses in the name service (first unused: {})",
        targets_.size() + left_out_, targets_.size(), first_left_out_);
}

}  // namespace holdfast::client
