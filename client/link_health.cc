// TCP_INFO, of which the kernel fills as much as it knows.

#include "client/link_health.hh"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

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
    // Data that was sent again, or questions to a closed window, which count only while no answer comes.
    if (info.tcpi_retransmits > 1 || info.tcpi_probes > 2) health.unanswered = health.last_acknowledgement;
    return health;
}

bool is_dead(int socket) noexcept {
    pollfd entry{socket, POLLRDHUP, 0};
    return ::poll(&entry, 1, 0) > 0;
}

LineText cause_of_death(int socket) {
    int code = 0;
    socklen_t length = sizeof code;
    if (::getsockopt(socket, SOL_SOCKET, SO_ERROR, &code, &length) == 0 && code != 0)
        return SysError{code, "the connection broke"}.text();
    // The kernel's driver may have taken the error before us. A connection that the peer closed has heard
    // from it just now.
    tcp_info info{};
    length = sizeof info;
    constexpr std::uint32_t long_silence_ms = 3000;
    constexpr std::uint8_t tcp_close = 7;  // <net/tcp_states.h>, which programs cannot include
    if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 && info.tcpi_state == tcp_close &&
        info.tcpi_last_ack_recv >= long_silence_ms)
        return LineText::of("the server's machine has not answered for {} s", info.tcpi_last_ack_recv / 1000);
    return "the server closed the connection";
}

bool all_sent(int socket) noexcept {
    int unsent = 0;
    return ::ioctl(socket, SIOCOUTQ, &unsent) == 0 && unsent == 0;
}

void shut_down(int socket) noexcept { ::shutdown(socket, SHUT_RDWR); }

void purge(int socket) noexcept {
    const sockaddr nobody{.sa_family = AF_UNSPEC, .sa_data = {}};
    [[maybe_unused]] const int result = ::connect(socket, &nobody, sizeof nobody);
}

}  // namespace holdfast::client
