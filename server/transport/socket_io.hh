// Complete sends on a connected stream socket, and results of receives. Blocking; no function raises SIGPIPE.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>

#include "common/linux/result.hh"

namespace holdfast::server {

// Result of a receive. `closed` and `failed` end the connection.
enum class Received : std::uint8_t {
    complete,
    closed,     // closed by the peer, or by this server's stop
    timed_out,  // SO_RCVTIMEO expired, or no data without waiting
    failed,     // see errno
};

// Call after a send timed out (SO_SNDTIMEO). The kernel wakes a sender only when a good part of its buffer is
// free again, so a slow peer must not be mistaken for a stalled peer. Returns true if fewer bytes than
// `waiting` are unacknowledged, and then sets `waiting` to their number.
[[nodiscard]] bool took_something(int socket, int& waiting);
// Sends all of `data`. Fails with EAGAIN if the socket has an SO_SNDTIMEO and the peer accepted nothing for
// that time (or for up to twice that time).
[[nodiscard]] Result<void> send_all(int socket, std::span<const std::uint8_t> data,
                                    bool more_follows = false);

}  // namespace holdfast::server
