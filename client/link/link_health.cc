// Uses TCP_INFO, which the kernel fills as far as it supports.

#include "client/link/link_health.hh"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstddef>

#include "common/linux/result.hh"

namespace holdfast::client {

using std::chrono::milliseconds;

std::optional<LinkHealth> health_of(int socket) noexcept {
    tcp_info info{};
    socklen_t length = sizeof info;
    if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return std::nullopt;
    if (length < offsetof(tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received)
        return std::nullopt;
    LinkHealth health;
    health.received = info.tcpi_bytes_received;
    health.acknowledged = info.tcpi_bytes_acked;
    health.round_trip = milliseconds{info.tcpi_rtt / 1000};
    health.last_acknowledgement = milliseconds{info.tcpi_last_ack_recv};
    health.retransmits = info.tcpi_retransmits;
    health.probes = info.tcpi_probes;
    health.backoff = info.tcpi_backoff;
    health.retransmit_timeout = milliseconds{info.tcpi_rto / 1000};
    return health;
}

milliseconds SilenceWatch::see(const LinkHealth& health, Time now) noexcept {
    // Limit on lost probes: a closed window is probed regularly anyway, and two consecutive probes may be
    // lost.
    constexpr std::uint32_t most_probes = 2;
    const bool lost = health.retransmits > 1;
    if (!lost && health.probes <= most_probes) {
        since_.reset();
        return milliseconds{0};
    }
    // Computes the least silence: after the segment's first timeout a second, twice as long, began, and so
    // on: t + 2t + ... of which the last has not expired. The timeout of probes is not doubled in place.
    constexpr std::uint32_t most_doublings = 16;
    const auto single = health.retransmit_timeout / (1 << std::min(health.backoff, most_doublings));
    const milliseconds at_least = lost ? health.retransmit_timeout - single : 2 * health.retransmit_timeout;
    const Time then = now - std::min(at_least, health.last_acknowledgement);
    since_ = std::min(since_.value_or(then), then);
    return std::min(std::chrono::duration_cast<milliseconds>(now - *since_), health.last_acknowledgement);
}

bool is_dead(int socket) noexcept {
    pollfd entry{socket, POLLRDHUP, 0};
    return ::poll(&entry, 1, 0) > 0;
}

LineText cause_of_death(int socket, std::chrono::seconds dead_after) {
    int code = 0;
    socklen_t length = sizeof code;
    if (::getsockopt(socket, SOL_SOCKET, SO_ERROR, &code, &length) == 0 && code != 0)
        return SysError{code, "the connection was lost"}.text();
    // Falls back to TCP_INFO: the kernel's driver may have consumed the error. An idle link that the peer
    // closed or reset was silent only between two keepalives (prepare_tcp), a link that timed out until the
    // last of them.
    tcp_info info{};
    length = sizeof info;
    const milliseconds long_silence =
        std::max<milliseconds>(dead_after - std::chrono::seconds{2}, dead_after / 2);
    constexpr std::uint8_t tcp_close = 7;  // from <net/tcp_states.h>, which programs cannot include
    if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 && info.tcpi_state == tcp_close &&
        milliseconds{info.tcpi_last_ack_recv} >= long_silence)
        return LineText::of("the server's machine has not answered for {} s", info.tcpi_last_ack_recv / 1000);
    return "the server closed the connection";
}

bool all_sent(int socket) noexcept {
    int unsent = 0;
    return ::ioctl(socket, SIOCOUTQ, &unsent) == 0 && unsent == 0;
}

void shut_down(int socket) noexcept { ::shutdown(socket, SHUT_RDWR); }

void cut(int socket) noexcept {
    const linger none{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(socket, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    shut_down(socket);
}

bool purge(int socket) noexcept {
    const sockaddr nobody{.sa_family = AF_UNSPEC, .sa_data = {}};
    return ::connect(socket, &nobody, sizeof nobody) == 0 || errno != EBUSY;
}

void end_link(Fd& link) noexcept {
    if (!link) return;
    cut(link.get());
    // Wakes a kernel thread that sleeps in the socket, which is in use until then.
    constexpr int most_tries = 20;
    for (int i = 0; i < most_tries && !purge(link.get()); ++i) (void)::poll(nullptr, 0, 10);
    link.reset();
}

// A FIN comes in sequence from the machine that has the connection, when its program has closed the
// connection. A reset proves nothing: a machine also sends a reset for an unknown connection, for example the
// successor at an address that has moved, while the previous machine lives and still has the data. (A
// rebooted machine also sends a reset; the reboot took longer than dead-after, or the caller waits for the
// rest of that time.) Nor does a time-out prove anything.
//
// After a FIN the kernel's driver closes its own side at once, and the state may be CLOSE when this function
// is called. Then the peer has acknowledged the client's FIN, which a machine without the connection would
// not: the FIN has its own sequence number, like the SYN, so the acknowledged count exceeds the bytes sent.
bool is_ended_by_peer(int socket) noexcept {
    tcp_info info{};
    socklen_t length = sizeof info;
    if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return is_dead(socket);
    // Values from <net/tcp_states.h>, which programs cannot include.
    constexpr std::uint8_t tcp_close = 7, tcp_close_wait = 8, tcp_last_ack = 9, tcp_closing = 11;
    if (info.tcpi_state == tcp_close) {
        constexpr std::size_t needed =
            offsetof(tcp_info, tcpi_bytes_retrans) + sizeof info.tcpi_bytes_retrans;
        constexpr std::uint64_t syn_and_fin = 2;
        return length >= needed &&
               info.tcpi_bytes_acked == info.tcpi_bytes_sent - info.tcpi_bytes_retrans + syn_and_fin;
    }
    return info.tcpi_state == tcp_close_wait || info.tcpi_state == tcp_last_ack ||
           info.tcpi_state == tcp_closing;
}

}  // namespace holdfast::client
