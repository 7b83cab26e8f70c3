// Whole sends and receives on a connected stream socket. Blocking; nothing here raises SIGPIPE.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <span>

#include "common/linux/result.hh"

namespace holdfast::server {

// How a receive ended. What is not `complete` ends the connection.
enum class Received : std::uint8_t {
    complete,
    closed,     // the peer closed, or our own stop did
    timed_out,  // the socket's SO_RCVTIMEO, or the deadline
    failed,     // errno says why
};

// Collects what is there in one system call, and hands it out in the pieces that the protocol has.
class Receiver {
public:
    explicit Receiver(int socket) : socket_(socket) {}

    // Fills `into`. Large pieces go there directly and not through the buffer.
    [[nodiscard]] Received receive(std::span<std::uint8_t> into);
    // Reads and throws away.
    [[nodiscard]] Received skip(std::uint64_t count);
    // How much of what has arrived is not handed out, here and in the kernel.
    [[nodiscard]] std::uint64_t unread() const;

private:
    // One recv into `into`; at least one byte when complete.
    [[nodiscard]] Received fill(std::span<std::uint8_t> into, std::size_t& count) const;

    int socket_;
    std::array<std::uint8_t, 32768> buffer_;
    std::span<const std::uint8_t> waiting_;  // the part of buffer_ that is not handed out yet
};

// EAGAIN where the socket has a SO_SNDTIMEO and the peer took nothing for as long (or for up to twice as
// long).
[[nodiscard]] Result<void> send_all(int socket, std::span<const std::uint8_t> data,
                                    bool more_follows = false);

// The handshake's own way: never waits longer than until the deadline, whatever the peer does.
using Deadline = std::chrono::steady_clock::time_point;
// Receives what is there, at least one byte and at most `into`.
[[nodiscard]] Received receive_some_until(int socket, std::span<std::uint8_t> into, Deadline deadline,
                                          std::size_t& count);
// Sends what fits. ETIMEDOUT at the deadline.
[[nodiscard]] Result<std::size_t> send_some_until(int socket, std::span<const std::uint8_t> data,
                                                  Deadline deadline);

}  // namespace holdfast::server
