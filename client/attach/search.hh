// Looks for a server that can be used, among those that were named, before a device is attached.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <vector>

#include "client/address/export_address.hh"
#include "client/attach/report.hh"
#include "client/link/link.hh"

namespace holdfast::client {

struct SearchRequest {
    std::vector<ServerAddress> servers;       // in order of preference; at least one
    std::optional<std::uint32_t> block_size;  // empty: the smallest that the server takes
    std::chrono::seconds patience{0};         // for how long to go on when none can be used; 0: one round
    std::chrono::seconds dead_after = default_dead_after;
};

// Claims a session at a server, and holds the device that is going to be attached for that time.
class Claimant {
public:
    struct Identity {
        nbd::Uuid session{};
        std::optional<nbd::HostRequest> host;
    };
    // Before each attempt. An error ends the search.
    virtual std::expected<Identity, Failure> take() = 0;
    // After each attempt that failed.
    virtual void release() noexcept = 0;

protected:
    ~Claimant() = default;
};

struct Found {
    std::vector<Target> targets;  // every address of every server whose name could be resolved
    std::size_t target = 0;       // the one that the link is to
    Link link;
    nbd::SessionClaim claim;  // that the server was told
    std::uint32_t block_size = 0;
    std::uint32_t request_limit = 0;  // bytes; the server takes no larger reads and writes
};

// Blocks: one attempt at each address in turn, round after round. Failures are told through `report` as they
// change. The claimant holds the device when a server is found, and at no time between two attempts.
[[nodiscard]] std::expected<Found, Failure> search(const SearchRequest& request, Claimant& claimant,
                                                   const Report& report);

}  // namespace holdfast::client
