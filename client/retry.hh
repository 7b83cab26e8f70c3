// How long to wait before the next attempt to reach a server. Knows no sockets, no clock.
#pragma once

#include <chrono>
#include <cstdint>

namespace holdfast::client {

// A small generator of its own (xorshift): the pauses of a thousand clients must differ, nothing more is
// asked of it.
class Jitter {
public:
    explicit Jitter(std::uint64_t seed) noexcept : state_(seed != 0 ? seed : 0x9e3779b97f4a7c15) {}
    // Evenly spread over 0 .. limit-1. `limit` is not 0.
    [[nodiscard]] std::uint64_t below(std::uint64_t limit) noexcept;

private:
    std::uint64_t state_;
};

// The time from one attempt to the next, number `attempt` (0 is the first after the link was lost). The first
// round over all servers goes without a pause; then about half a second, later up to a second, for ever:
// slower would sleep through the server's return, and all clients at the same moment would be a storm.
[[nodiscard]] std::chrono::milliseconds pause_before(std::uint64_t attempt, std::uint64_t servers,
                                                     Jitter& jitter) noexcept;

}  // namespace holdfast::client
