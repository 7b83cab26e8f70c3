// EINTR, short counts and MSG_NOSIGNAL are dealt with here, so that nobody above thinks of them.

#include "server/socket_io.hh"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <limits>

namespace holdfast::server {
namespace {

// False when the deadline came first.
bool wait_until(int socket, short events, Deadline deadline) {
    for (;;) {
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
        if (left.count() <= 0) return false;
        pollfd one{socket, events, 0};
        const int ready = ::poll(&one, 1, static_cast<int>(std::min<long long>(left.count(), 60'000)));
        if (ready > 0) return true;
        if (ready < 0 && errno != EINTR) return false;
    }
}

}  // namespace

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

Received receive_some_until(int socket, std::span<std::uint8_t> into, Deadline deadline, std::size_t& count) {
    for (;;) {
        // Looked at every time: a peer that always has one more byte must not get more time than another.
        if (std::chrono::steady_clock::now() >= deadline) return Received::timed_out;
        const ssize_t got = ::recv(socket, into.data(), into.size(), MSG_DONTWAIT);
        if (got > 0) {
            count = static_cast<std::size_t>(got);
            return Received::complete;
        }
        if (got == 0 || errno == ECONNRESET) return Received::closed;
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (!wait_until(socket, POLLIN, deadline)) return Received::timed_out;
        } else if (errno != EINTR) {
            return Received::failed;
        }
    }
}

Result<std::size_t> send_some_until(int socket, std::span<const std::uint8_t> data, Deadline deadline) {
    for (;;) {
        const ssize_t count = ::send(socket, data.data(), data.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count >= 0) return static_cast<std::size_t>(count);
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            if (!wait_until(socket, POLLOUT, deadline)) return std::unexpected(SysError{ETIMEDOUT, "send"});
        } else if (errno != EINTR) {
            return sys_error("send");
        }
    }
}

}  // namespace holdfast::server
