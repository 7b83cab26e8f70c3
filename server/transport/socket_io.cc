// Handles EINTR, short counts and MSG_NOSIGNAL for all callers.

#include "server/transport/socket_io.hh"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <limits>

namespace holdfast::server {

bool took_something(int socket, int& waiting) {
    int now = 0;
    if (::ioctl(socket, SIOCOUTQ, &now) != 0 || now >= waiting) return false;
    waiting = now;
    return true;
}

Result<void> send_all(int socket, std::span<const std::uint8_t> data, bool more_follows) {
    int waiting = std::numeric_limits<int>::max();
    while (!data.empty()) {
        const ssize_t count =
            ::send(socket, data.data(), data.size(), MSG_NOSIGNAL | (more_follows ? MSG_MORE : 0));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && errno == EAGAIN && took_something(socket, waiting)) continue;
        if (count < 0) return sys_error("send");
        data = data.subspan(static_cast<std::size_t>(count));
    }
    return {};
}

}  // namespace holdfast::server
