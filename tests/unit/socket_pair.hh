// TCP connections of a test's own, on loopback.
#pragma once

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <vector>

#include "common/linux/fd.hh"

namespace holdfast {

struct Pair {
    Fd ours, peers;
};

inline Pair connected() {
    const Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    REQUIRE(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length) == 0);
    REQUIRE(::listen(listener.get(), 1) == 0);
    REQUIRE(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0);
    Pair pair;
    pair.ours.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(pair.ours.get(), reinterpret_cast<sockaddr*>(&address), length) == 0);
    pair.peers.reset(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    REQUIRE(pair.peers);
    return pair;
}

// Sends until the peer's window is closed and the send queue is full, as with a server that hangs.
inline void fill(int socket) {
    const std::vector<char> data(1 << 16, 'x');
    for (int quiet = 0; quiet < 5;) {
        if (::send(socket, data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL) > 0) {
            quiet = 0;
            continue;
        }
        REQUIRE(errno == EAGAIN);
        pollfd writable{socket, POLLOUT, 0};
        if (::poll(&writable, 1, 50) == 0) ++quiet;
    }
}

}  // namespace holdfast
