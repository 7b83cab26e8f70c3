// Bound to the interface and not to the address, because a DHCPNAK is broadcast. Therefore each message sets
// its source address.

#include "client/lease/lease_socket.hh"

#include <errno.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace holdfast::client {
namespace {

constexpr std::uint16_t client_port = 68;
constexpr std::uint16_t server_port = 67;
// Maximum packets per call: a flood of messages must not keep the daemon from its link.
constexpr int most_packets = 16;
// Pause between two attempts to get the turn.
constexpr std::chrono::seconds pause_between_tries{5};

sockaddr_in socket_address(Ipv4 address, std::uint16_t port) noexcept {
    sockaddr_in result{};
    result.sin_family = AF_INET;
    result.sin_port = htons(port);
    result.sin_addr.s_addr = htonl(address);
    return result;
}

Result<Fd> open_socket() {
    Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!socket) return sys_error("socket");
    const int yes = 1;
    if (::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        ::setsockopt(socket.get(), SOL_SOCKET, SO_BROADCAST, &yes, sizeof yes) != 0)
        return sys_error("setsockopt");
    const sockaddr_in own = socket_address(INADDR_ANY, client_port);
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0)
        return sys_error("bind to the DHCP port");
    return socket;
}

// Takes a lock owned by the process, not its children: the lock ends with the daemon.
bool set_lock(const Fd& file, short kind) noexcept {
    struct flock lock {};
    lock.l_type = kind;
    lock.l_whence = SEEK_SET;
    return ::fcntl(file.get(), F_SETLK, &lock) == 0;
}

using Packet = std::array<std::uint8_t, 1500>;

// Receives the next message from a server. Empty: there is none. A length of 0: a packet to ignore.
std::optional<std::size_t> receive(int socket, Packet& packet) noexcept {
    sockaddr_in from{};
    socklen_t length = sizeof from;
    const ssize_t count = ::recvfrom(socket, packet.data(), packet.size(), MSG_DONTWAIT | MSG_TRUNC,
                                     reinterpret_cast<sockaddr*>(&from), &length);
    if (count < 0) {
        // Reading also clears a pending error of an earlier message (ICMP, a link that is down).
        if (errno == EAGAIN) return std::nullopt;
        return 0;
    }
    const auto size = static_cast<std::size_t>(count);
    return from.sin_port == htons(server_port) && size <= packet.size() ? size : 0;
}

}  // namespace

std::optional<Ipv4> local_address(int socket) noexcept {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    if (::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &length) != 0) return std::nullopt;
    if (address.ss_family == AF_INET) {
        sockaddr_in own{};
        std::memcpy(&own, &address, sizeof own);
        return ntohl(own.sin_addr.s_addr);
    }
    return std::nullopt;
}

Result<void> read_hardware_address(LeaseRecord& record) {
    const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!socket) return sys_error("socket");
    ifreq request{};
    const std::string_view name = record.interface;
    std::copy_n(name.data(), std::min(name.size(), sizeof request.ifr_name - 1), request.ifr_name);
    if (::ioctl(socket.get(), SIOCGIFHWADDR, &request) != 0) return sys_error("the hardware address");
    DhcpClient& client = record.client;
    client.hardware_type = static_cast<std::uint8_t>(request.ifr_hwaddr.sa_family);
    client.hardware_length = request.ifr_hwaddr.sa_family == ARPHRD_EUI64 ? 8 : 6;
    if (request.ifr_hwaddr.sa_family != ARPHRD_ETHER && request.ifr_hwaddr.sa_family != ARPHRD_EUI64)
        return std::unexpected(SysError{EAFNOSUPPORT, "the hardware address"});
    std::memcpy(client.hardware.data(), request.ifr_hwaddr.sa_data, client.hardware_length);
    return {};
}

LeaseSocket::LeaseSocket(const LeaseRecord& record, std::string_view folder)
    : record_(record), socket_(open_socket()) {
    const std::string path = fmt::format("{}/lease-{}", folder, record.interface);
    turn_.reset(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
}

void LeaseSocket::start(const LeaseState& state, std::uint64_t seed, Lease::Time now) noexcept {
    seed_ = seed;
    lease_.emplace(record_, state, seed, now);
    take_turn(now);
}

void LeaseSocket::take_turn(Lease::Time now) noexcept {
    if (has_turn_ || now < next_try_) return;
    next_try_ = now + pause_between_tries;
    if (turn_ && !set_lock(turn_, F_WRLCK)) {
        has_waited_ = true;
        return;
    }
    has_turn_ = true;
    bind_to_interface();
    if (!has_waited_) return;
    // The previous daemon has renewed the lease at an unknown time: renews at once if due by this process's
    // own record, and does not consider the lease expired.
    LeaseState state = lease_->state();
    const auto due = std::chrono::milliseconds{std::chrono::seconds{state.renew_after}};
    const auto today = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch());
    state.obtained_at = std::max(state.obtained_at, today - due);
    lease_.emplace(record_, state, seed_, now);
}

// The kernel prefers a bound socket among those at this port. (Since Linux 5.7 this needs no privilege;
// without the binding, answers from other interfaces are also received, and ignored.)
void LeaseSocket::bind_to_interface() noexcept {
    if (const std::string_view name = record_.interface; socket_)
        (void)::setsockopt(socket_->get(), SOL_SOCKET, SO_BINDTODEVICE, name.data(),
                           static_cast<socklen_t>(name.size()));
}

// Dissolves the association, which removes SO_BINDTODEVICE and keeps the port; removing or changing
// SO_BINDTODEVICE directly needs CAP_NET_RAW, which the daemon has dropped.
void LeaseSocket::unbind() noexcept {
    const sockaddr nobody{.sa_family = AF_UNSPEC, .sa_data = {}};
    if (socket_) (void)::connect(socket_->get(), &nobody, sizeof nobody);
}

void LeaseSocket::move_to(std::string_view interface, Lease::Time now) noexcept {
    const bool other = std::exchange(record_.interface, interface) != interface;
    if (lease_ && other) {
        const LeaseState state = lease_->state();  // emplace() destroys the old one first
        lease_.emplace(record_, state, seed_, now);
    }
    if (!has_turn_) return;
    unbind();
    bind_to_interface();
}

// Unbinds before releasing the lock, so that the next holder of the turn finds no other socket bound to the
// interface: the kernel would deliver answers to either socket.
void LeaseSocket::release_turn() noexcept {
    unbind();
    if (has_turn_ && turn_) (void)set_lock(turn_, F_UNLCK);
    has_turn_ = false;
    next_try_ = {};
}

Lease::Time LeaseSocket::deadline() const noexcept {
    if (!lease_) return Lease::Time::max();
    return has_turn_ ? lease_->deadline() : next_try_;
}

Result<void> LeaseSocket::send(const Lease::Send& message) noexcept {
    if (!socket_) return std::unexpected(socket_.error());
    sockaddr_in to = socket_address(message.to, server_port);
    iovec bytes{const_cast<std::uint8_t*>(message.request.bytes.data()), message.request.length};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(in_pktinfo))> room{};
    msghdr head{};
    head.msg_name = &to;
    head.msg_namelen = sizeof to;
    head.msg_iov = &bytes;
    head.msg_iovlen = 1;
    head.msg_control = room.data();
    head.msg_controllen = room.size();
    cmsghdr* const control = CMSG_FIRSTHDR(&head);
    control->cmsg_level = IPPROTO_IP;
    control->cmsg_type = IP_PKTINFO;
    control->cmsg_len = CMSG_LEN(sizeof(in_pktinfo));
    in_pktinfo source{};
    source.ipi_spec_dst.s_addr = htonl(record_.address);
    std::memcpy(CMSG_DATA(control), &source, sizeof source);
    if (::sendmsg(socket_->get(), &head, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) return sys_error("sendmsg");
    return {};
}

bool LeaseSocket::advance(Lease::Time now) noexcept {
    if (!lease_) return false;
    take_turn(now);
    if (!has_turn_) {
        drain();
        return false;
    }
    const bool had_problem = !lease_->state().problem.empty();
    bool renewed = false;
    if (socket_) {
        Packet packet;
        for (int i = 0; i < most_packets; ++i) {
            const auto size = receive(socket_->get(), packet);
            if (!size) break;
            if (lease_->on_packet(std::span(packet).first(*size), now)) renewed = true;
        }
    }
    if (const auto message = lease_->on_deadline(now))
        if (const auto sent = send(*message); !sent) lease_->on_send_failure(sent.error().text());
    return renewed || had_problem != !lease_->state().problem.empty();
}

void LeaseSocket::drain() noexcept {
    Packet packet;
    for (int i = 0; i < most_packets && socket_ && receive(socket_->get(), packet); ++i) continue;
}

std::optional<Lease::News> LeaseSocket::take_news() noexcept {
    return lease_ ? lease_->take_news() : std::nullopt;
}

}  // namespace holdfast::client
