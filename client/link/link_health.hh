// Reads a connection's health from its socket, without sending a byte. May be called after the seal.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "common/linux/clock.hh"
#include "common/linux/fd.hh"
#include "common/text/fixed_text.hh"

namespace holdfast::client {

struct LinkHealth {
    std::uint64_t received = 0;      // bytes since the connection was established
    std::uint64_t acknowledged = 0;  // bytes sent and acknowledged by the peer's machine
    std::chrono::milliseconds round_trip{0};
    std::chrono::milliseconds last_acknowledgement{
        0};  // age of the last acknowledgement, of data or of a keepalive
    // Counters of segments retransmitted without an answer. A slow or stopped server's machine still
    // acknowledges.
    std::uint32_t retransmits = 0;  // consecutive, of the oldest unacknowledged segment
    std::uint32_t probes = 0;       // consecutive unanswered probes of a closed window
    std::uint32_t backoff = 0;      // number of times that the timeout was doubled since the last answer
    std::chrono::milliseconds retransmit_timeout{0};  // current value, doubled `backoff` times
};
// Returns nullopt if the socket is not TCP.
[[nodiscard]] std::optional<LinkHealth> health_of(int socket) noexcept;

// Measures for how long a peer's machine has left data unacknowledged. Pure.
//
// Counts from the first segment without an acknowledgement, not from the last acknowledgement: before that
// segment, an idle link was legitimately silent. The kernel does not report when the segment was sent, so the
// time is the least that the doubled retransmission timeouts have taken, and the watch's own time from then
// on.
class SilenceWatch {
public:
    using Time = Clock::time_point;

    // Returns the length of the silence; 0 if nothing was retransmitted in vain. Never longer than the real
    // silence.
    [[nodiscard]] std::chrono::milliseconds see(const LinkHealth& health, Time now) noexcept;
    // Restarts the watch for another link.
    void restart() noexcept { since_.reset(); }

private:
    std::optional<Time> since_;
};

// True if the socket was closed or failed, by either side.
[[nodiscard]] bool is_dead(int socket) noexcept;
// Returns the cause for the log; clears the socket's pending error. `dead_after`: as passed when the link was
// prepared.
[[nodiscard]] LineText cause_of_death(int socket, std::chrono::seconds dead_after);
// True if no sent data is unacknowledged or unsent.
[[nodiscard]] bool all_sent(int socket) noexcept;

// Shuts the connection down for all holders of the socket. Wakes a kernel sender stuck in the socket.
void shut_down(int socket) noexcept;
// Shuts down a link that this process gives up: when its last holder closes the socket, the send queue is
// discarded.
void cut(int socket) noexcept;
// Discards the send queue and resets the connection: otherwise TCP would deliver old writes once the network
// is back. Call it when no other user sends or receives on the socket; returns false if the socket is still
// in use.
bool purge(int socket) noexcept;
// Gives a link up: cuts the link, purges its queue as soon as the kernel's driver has released the socket,
// and closes the socket. No data written to the link goes out afterwards. Takes at most a fifth of a second;
// after that the kernel purges the queue when it closes the socket.
void end_link(Fd& link) noexcept;
// True if the peer itself has closed the connection: the peer holds no requests that it may still apply.
// False in doubt, and after a reset, which may come from another machine. A proxy in between speaks only for
// itself.
[[nodiscard]] bool is_ended_by_peer(int socket) noexcept;

}  // namespace holdfast::client
