// Whole sends and receives on a connected stream socket. Blocking; nothing here raises SIGPIPE.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>

#include "common/linux/result.hh"

namespace holdfast::server {

// How a receive ended. What is not `complete` ends the connection.
enum class Received : std::uint8_t {
    complete,
    closed,     // the peer closed, or our own stop did
    timed_out,  // the socket's SO_RCVTIMEO
    failed,     // errno says why
};

// After a send that timed out (SO_SNDTIMEO). The kernel wakes a sender only when a good part of its buffer is
// free again, so a peer that takes little at a time is not one that takes nothing. True when less is waiting
// for it than `waiting`, which is set to what is.
[[nodiscard]] bool took_something(int socket, int& waiting);
// EAGAIN where the socket has a SO_SNDTIMEO and the peer took nothing for as long (or for up to twice as
// long).
[[nodiscard]] Result<void> send_all(int socket, std::span<const std::uint8_t> data,
                                    bool more_follows = false);

using Deadline = std::chrono::steady_clock::time_point;

}  // namespace holdfast::server
