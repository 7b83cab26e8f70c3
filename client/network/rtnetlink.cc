// Answers are read until the end of their list. If an error ended a list before, the kernel keeps the rest of
// this list, refuses another list (EBUSY) until the rest was read, and sends it before the answer to the next
// request. Therefore a request empties the socket first, and takes only messages with its own sequence
// number.

#include "client/network/rtnetlink.hh"

#include <errno.h>
#include <sys/socket.h>

#include <array>
#include <span>
#include <utility>

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

void drain(int socket) noexcept {
    std::array<std::byte, 4096> room;
    // An overflow (ENOBUFS) is an event like others.
    for (int i = 0; i < most_reads; ++i)
        if (::recv(socket, room.data(), room.size(), MSG_DONTWAIT) < 0 && errno != ENOBUFS) return;
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
    Fd requests = open_socket(0);
    if (!requests) return sys_error("rtnetlink");
    Fd events = open_socket(RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_IFADDR |
                            RTMGRP_IPV6_ROUTE);
    if (!events) return sys_error("rtnetlink events");
    return Rtnetlink(std::move(requests), std::move(events));
}

void Rtnetlink::drain_events() const noexcept { drain(events_.get()); }

Result<void> Rtnetlink::send(NetlinkRequest& request, const char* call) const noexcept {
    if (request.bytes().empty()) return std::unexpected(SysError{ENOBUFS, call});
    drain(requests_.get());
    request.set_sequence(++sequence_);
    while (::send(requests_.get(), request.bytes().data(), request.bytes().size(), 0) < 0)
        if (errno != EINTR) return sys_error(call);
    return {};
}

// Calls `take` with each message of the answer to the last request; `take` returns true for the last one.
template <class Take>
Result<void> Rtnetlink::receive_until(const char* call, Take&& take) const {
    Room room;
    for (int reads = 0; reads < most_reads; ++reads) {
        if (auto got = receive(requests_.get(), room, call); !got) return got;
        const bool goes_on = each_message(
            room, [&](const nlmsghdr& message) { return message.nlmsg_seq != sequence_ || !take(message); });
        if (!goes_on) return {};
    }
    return std::unexpected(SysError{EPROTO, call});
}

Result<void> Rtnetlink::change(NetlinkRequest request, const char* call) const noexcept {
    if (auto sent = send(request, call); !sent) return sent;
    int error = 0;
    const auto got = receive_until(call, [&](const nlmsghdr& message) {
        error = error_in(message);
        return message.nlmsg_type == NLMSG_ERROR;
    });
    if (!got) return got;
    if (error != 0) return std::unexpected(SysError{error, call});
    return {};
}

Result<std::uint32_t> Rtnetlink::interface_towards(const IpAddress& address,
                                                   std::uint32_t scope) const noexcept {
    constexpr const char* call = "RTM_GETROUTE";
    NetlinkRequest request = route_request(address, scope);
    if (auto sent = send(request, call); !sent) return std::unexpected(sent.error());
    int error = 0;
    std::uint32_t interface = 0;
    const auto got = receive_until(call, [&](const nlmsghdr& message) {
        const auto route = read_route(message);
        if (route) interface = route->interface;
        if (message.nlmsg_type == NLMSG_ERROR) error = error_in(message);
        return route || message.nlmsg_type == NLMSG_ERROR;
    });
    if (!got) return std::unexpected(got.error());
    if (interface == 0) return std::unexpected(SysError{error == 0 ? ENETUNREACH : error, call});
    return interface;
}

Result<void> Rtnetlink::list(std::uint16_t type, void* context, Call call) const {
    ifinfomsg body{};  // as large as the other structures' family needs
    NetlinkRequest request(type, NLM_F_REQUEST | NLM_F_DUMP, std::as_bytes(std::span(&body, 1)));
    if (auto sent = send(request, "rtnetlink"); !sent) return sent;
    int error = 0;
    const auto got = receive_until("rtnetlink", [&](const nlmsghdr& message) {
        const bool ends = message.nlmsg_type == NLMSG_DONE || message.nlmsg_type == NLMSG_ERROR;
        if (ends) error = error_in(message);
        if (!ends) call(context, message);
        return ends;
    });
    if (!got) return got;
    if (error != 0) return std::unexpected(SysError{error, "rtnetlink"});
    return {};
}

}  // namespace holdfast::client
