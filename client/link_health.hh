// What a connected socket tells of its connection, without a byte being sent. May be called after the seal.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "common/linux/fixed_text.hh"

namespace holdfast::client {

struct LinkHealth {
    std::uint64_t received = 0;      // bytes, since the connection was made
    std::uint64_t acknowledged = 0;  // bytes that were sent and that the peer's machine has acknowledged
    std::chrono::milliseconds round_trip{0};
    // For how long something that was sent, and sent again, has not been acknowledged by the peer's machine;
    // 0 when nothing waits for that. A server that is slow, or stopped, still has its machine acknowledge.
    std::chrono::milliseconds unanswered{0};
    std::chrono::milliseconds last_acknowledgement{
        0};  // how long ago the last one came, of data or of a keepalive
};
// Empty for what is no TCP socket.
[[nodiscard]] std::optional<LinkHealth> health_of(int socket) noexcept;

// The socket has ended or failed, by either side.
[[nodiscard]] bool is_dead(int socket) noexcept;
// Why, for the log; takes the socket's pending error.
[[nodiscard]] LineText cause_of_death(int socket);
// Nothing that was sent waits to be acknowledged, or to be sent.
[[nodiscard]] bool all_sent(int socket) noexcept;

// Ends the connection for all who have the socket. Wakes a sender of the kernel that is stuck in it.
void shut_down(int socket) noexcept;
// What is still in its send queue is thrown away and the peer told by a reset: else TCP would go on to
// deliver old writes when the network is back. Call it when nobody sends or receives on it any more; a socket
// that is in use refuses.
void purge(int socket) noexcept;

}  // namespace holdfast::client
