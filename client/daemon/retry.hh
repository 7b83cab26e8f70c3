// How long to wait before the next attempt to reach a server. Knows no sockets, no clock.
#pragma once

#include <chrono>
#include <cstdint>

#include "common/linux/jitter.hh"

namespace holdfast::client {

// The time from one attempt to the next, number `attempt` (0 is the first after the link was lost). The first
// round over all servers goes without a pause; then about half a second, later up to a second, for ever:
// slower would sleep through the server's return, and all clients at the same moment would be a storm.
[[nodiscard]] std::chrono::milliseconds pause_before(std::uint64_t attempt, std::uint64_t servers,
                                                     Jitter& jitter) noexcept;

}  // namespace holdfast::client
