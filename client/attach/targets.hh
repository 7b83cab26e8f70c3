// List of a device's targets: every address of every server, up to a limit, the same for attach, boot and
// takeover. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "client/address/server_address.hh"
#include "client/link/link.hh"

namespace holdfast::client {

// Maximum number of addresses; more indicate a fault in the name service.
inline constexpr std::size_t most_targets = 256;

class TargetList {
public:
    // Returns false if the list is full: the address is then counted as left out. Keeps addresses in the
    // order of the calls, which is the order of preference.
    bool add(Endpoint endpoint, const ServerAddress& server);
    [[nodiscard]] const std::vector<Target>& targets() const noexcept { return targets_; }
    [[nodiscard]] std::vector<Target> take() noexcept { return std::move(targets_); }
    // Returns a warning for the user; empty if no address was left out.
    [[nodiscard]] std::string warning() const;

private:
    std::vector<Target> targets_;
    std::size_t left_out_ = 0;
    std::string first_left_out_;
};

}  // namespace holdfast::client
