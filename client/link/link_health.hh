// What a connected socket tells of its connection, without a byte being sent. May be called after the seal.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "common/linux/fd.hh"
#include "common/text/fixed_text.hh"

namespace holdfast::client {

struct LinkHealth {
    std::uint64_t received = 0;      // bytes, since the connection was made
    std::uint64_t acknowledged = 0;  // bytes that were sent and that the peer's machine has acknowledged
    std::chrono::milliseconds round_trip{0};
    std::chrono::milliseconds last_acknowledgement{
        0};  // how long ago the last one came, of data or of a keepalive
    // Segments that were sent again without an answer. A server that is slow, or stopped, still has its
    // machine acknowledge.
    std::uint32_t retransmits = 0;  // of the oldest unacknowledged segment, in a row
    std::uint32_t probes = 0;       // of a closed window, unanswered, in a row
    std::uint32_t backoff = 0;      // how often the timeout was doubled since the last answer
    std::chrono::milliseconds retransmit_timeout{0};  // doubled already, as `backoff` says
};
// Empty for what is no TCP socket.
[[nodiscard]] std::optional<LinkHealth> health_of(int socket) noexcept;

// For how long a peer's machine has left data unacknowledged. Pure.
//
// Counts from the first segment that got no acknowledgement, not from the last acknowledgement: before that
// segment, an idle link was silent with good reason. The kernel does not tell when it was sent, so the time
// is what the doubled retransmission timeouts have taken at least, and the watch's own time from then on.
class SilenceWatch {
public:
    using Time = std::chrono::steady_clock::time_point;

    // 0: nothing was sent again in vain. Never longer than the real silence.
    [[nodiscard]] std::chrono::milliseconds see(const LinkHealth& health, Time now) noexcept;
    // Another link is watched from here on.
    void restart() noexcept { since_.reset(); }

private:
    std::optional<Time> since_;
};

// The socket has ended or failed, by either side.
[[nodiscard]] bool is_dead(int socket) noexcept;
// Why, for the log; takes the socket's pending error. `dead_after`: as the link was prepared with.
[[nodiscard]] LineText cause_of_death(int socket, std::chrono::seconds dead_after);
// Nothing that was sent waits to be acknowledged, or to be sent.
[[nodiscard]] bool all_sent(int socket) noexcept;

// Ends the connection for all who have the socket. Wakes a sender of the kernel that is stuck in it.
void shut_down(int socket) noexcept;
// The same for a link that is not ours any more, or about to be: when the last one who has it closes it, what
// is in its send queue is thrown away.
void cut(int socket) noexcept;
// What is still in its send queue is thrown away and the peer told by a reset: else TCP would go on to
// deliver old writes when the network is back. Call it when nobody sends or receives on it any more; a socket
// that is in use refuses, and false is the answer.
bool purge(int socket) noexcept;
// How a link ceases to be ours: cut, purged as soon as the kernel's driver has let go of it, and closed.
// Nothing that was written to it goes out after this. Takes a fifth of a second at most; after that the
// kernel purges it when it closes it.
void end_link(Fd& link) noexcept;
// The peer has closed the connection by itself: it holds nothing any more that it may still apply. False in
// doubt, and after a reset, which may be another machine's. A proxy in the way speaks for itself only.
[[nodiscard]] bool is_ended_by_peer(int socket) noexcept;

}  // namespace holdfast::client
