// Answers are read until the end of their list, so that each request finds an empty socket. A sequence number
// skips what is left of a list that was given up.

#include "client/network/rtnetlink.hh"

#include <errno.h>
#include <sys/socket.h>

#include <array>

namespace holdfast::client {
namespace {

// Limit of a list: no kernel sends more messages than this in all.
constexpr int most_reads = 4096;
// The kernel fills at most 32 KiB for a reader with such a buffer.
constexpr std::size_t room_of_answer = 32768;

struct Room {
    alignas(nlmsghdr) std::array<std::byte, room_of_answer> bytes;
    std::size_t length = 0;
};

Result<void> receive(int socket, Room& room, const char* call) noexcept {
    for (;;) {
        const ssize_t count = ::recv(socket, room.bytes.data(), room.bytes.size(), 0);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return sys_error(call);
        room.length = static_cast<std::size_t>(count);
        return {};
    }
}

// Calls `take` with each message; stops when `take` returns false. Returns false if stopped.
template <class Take>
bool each_message(const Room& room, Take&& take) {
    for (std::size_t at = 0; room.length - at >= sizeof(nlmsghdr);) {
        const auto& message = *reinterpret_cast<const nlmsghdr*>(room.bytes.data() + at);
        if (message.nlmsg_len < sizeof message || message.nlmsg_len > room.length - at) return true;
        if (!take(message)) return false;
        at += NLMSG_ALIGN(message.nlmsg_len);
        if (at >= room.length) return true;
    }
    return true;
}

// Error in NLMSG_ERROR or NLMSG_DONE; both have it behind their header.
int error_in(const nlmsghdr& message) noexcept {
    if (message.nlmsg_len < sizeof message + sizeof(int)) return 0;
    int error = 0;
    __builtin_memcpy(&error, reinterpret_cast<const std::byte*>(&message) + sizeof message, sizeof error);
    return -error;
}

Fd open_socket(std::uint32_t groups) noexcept {
    Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    sockaddr_nl own{};
    own.nl_family = AF_NETLINK;
    own.nl_groups = groups;
    if (socket && ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0) return {};
    return socket;
}

}  // namespace

Result<Rtnetlink> Rtnetlink::open() {
    Rtnetlink netlink;
    netlink.requests_ = open_socket(0);
    if (!netlink.requests_) return sys_error("rtnetlink");
    netlink.events_ = open_socket(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR |
                                  RTMGRP_IPV6_ROUTE);
    if (!netlink.events_) return sys_error("rtnetlink events");
    return netlink;
}

void Rtnetlink::drain_events() const noexcept {
    std::array<std::byte, 4096> room;
    // An overflow (ENOBUFS) is an event like others.
    for (int i = 0; i < most_reads; ++i)
        if (::recv(events_.get(), room.data(), room.size(), MSG_DONTWAIT) < 0 && errno != ENOBUFS) return;
}

Result<void> Rtnetlink::send(std::span<const std::byte> request, const char* call) const noexcept {
    if (request.empty()) return std::unexpected(SysError{ENOBUFS, call});
    while (::send(requests_.get(), request.data(), request.size(), 0) < 0)
        if (errno != EINTR) return sys_error(call);
    return {};
}

Result<void> Rtnetlink::change(const NetlinkRequest& request, const char* call) const noexcept {
    if (auto sent = send(request.bytes(), call); !sent) return sent;
    Room room;
    if (auto got = receive(requests_.get(), room, call); !got) return got;
    int error = EPROTO;
    each_message(room, [&](const nlmsghdr& message) {
        if (message.nlmsg_type == NLMSG_ERROR) error = error_in(message);
        return true;
    });
    if (error != 0) return std::unexpected(SysError{error, call});
    return {};
}

Result<std::uint32_t> Rtnetlink::interface_towards(const IpAddress& address,
                                                   std::uint32_t scope) const noexcept {
    constexpr const char* call = "RTM_GETROUTE";
    if (auto sent = send(route_request(address, scope).bytes(), call); !sent)
        return std::unexpected(sent.error());
    Room room;
    if (auto got = receive(requests_.get(), room, call); !got) return std::unexpected(got.error());
    int error = ENETUNREACH;
    std::uint32_t interface = 0;
    each_message(room, [&](const nlmsghdr& message) {
        if (message.nlmsg_type == NLMSG_ERROR) error = error_in(message);
        if (const auto route = read_route(message)) interface = route->interface;
        return true;
    });
    if (interface == 0) return std::unexpected(SysError{error == 0 ? ENETUNREACH : error, call});
    return interface;
}

Result<void> Rtnetlink::list(std::uint16_t type, void* context, Call call) const {
    ifinfomsg body{};  // as large as the other structures' family needs
    const NetlinkRequest request(type, NLM_F_REQUEST | NLM_F_DUMP, std::as_bytes(std::span(&body, 1)));
    if (auto sent = send(request.bytes(), "rtnetlink"); !sent) return sent;
    Room room;
    int error = 0;
    for (int reads = 0; reads < most_reads; ++reads) {
        if (auto got = receive(requests_.get(), room, "rtnetlink"); !got) return got;
        const bool goes_on = each_message(room, [&](const nlmsghdr& message) {
            const bool ends = message.nlmsg_type == NLMSG_DONE || message.nlmsg_type == NLMSG_ERROR;
            if (ends) error = error_in(message);
            if (!ends) call(context, message);
            return !ends;
        });
        if (!goes_on) break;
    }
    if (error != 0) return std::unexpected(SysError{error, "rtnetlink"});
    return {};
}

}  // namespace holdfast::client
