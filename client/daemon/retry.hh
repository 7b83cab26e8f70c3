// Pause before the next attempt to reach a server. Uses no sockets, no clock.
#pragma once

#include <chrono>
#include <cstdint>

#include "common/linux/jitter.hh"

namespace holdfast::client {

// Time from the previous attempt to attempt number `attempt` (0 is the first after the link was lost). The
// first round over all servers has no pauses; then about half a second, later up to a second, without end:
// longer pauses would delay the reconnect when the server returns, and a return of all clients in the same
// moment would be a storm.
[[nodiscard]] std::chrono::milliseconds pause_before(std::uint64_t attempt, std::uint64_t servers,
                                                     Jitter& jitter) noexcept;

}  // namespace holdfast::client
