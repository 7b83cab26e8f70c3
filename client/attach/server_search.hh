// Finds a usable server among the given servers, before a device is attached.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <vector>

#include "client/address/server_address.hh"
#include "client/attach/child_report.hh"
#include "client/link/link.hh"

namespace holdfast::client {

struct SearchRequest {
    std::vector<ServerAddress> servers;       // in order of preference; not empty
    std::optional<std::uint32_t> block_size;  // empty: the server's minimum
    std::chrono::seconds patience{0};         // time to retry while no server is usable; 0: a single round
    std::chrono::seconds dead_after = default_dead_after;
    // Time for the disk of a server that is reached near the end of the patience, or after another server
    // took long: the disk may have to spin up.
    std::chrono::milliseconds least_read_patience{15'000};
};

// Creates the session to claim, and holds the device to attach during an attempt.
class Claimant {
public:
    struct Identity {
        nbd::Uuid session{};
        std::optional<nbd::HostRequest> host;
    };
    // Called before each attempt. An error ends the search.
    virtual std::expected<Identity, Failure> take() = 0;
    // Called after each failed attempt.
    virtual void release() noexcept = 0;

protected:
    ~Claimant() = default;
};

struct Found {
    std::vector<Target> targets;  // every address of every server whose name resolved
    std::size_t target = 0;       // index of the link's target
    Link link;
    nbd::SessionClaim claim;  // claim sent to the server
    std::uint32_t block_size = 0;
    std::uint32_t request_limit = 0;  // bytes; the server's maximum for reads and writes
};

// Blocks: one attempt at each address in turn, round after round. No round begins after the patience. In the
// last round each address may take attempt_patience, and a server that shook hands has at least
// least_read_patience more for its disk's first read; of a longer time that is left, the addresses that are
// still to be tried get equal shares. A first read never takes more than a minute, also in a single round.
// Failures are sent to `report` when they change. When a server is found, the claimant holds the device;
// between attempts, it does not.
[[nodiscard]] std::expected<Found, Failure> search(const SearchRequest& request, Claimant& claimant,
                                                   const Report& report);

}  // namespace holdfast::client
