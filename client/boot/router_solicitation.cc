// A raw socket for router solicitations and advertisements.

#include "client/boot/router_solicitation.hh"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <span>

#include <fmt/core.h>

#include "client/boot/router_advertisement.hh"
#include "common/linux/clock.hh"
#include "common/linux/fd.hh"
#include "common/linux/result.hh"

namespace holdfast::client {
namespace {

using std::chrono::milliseconds;

constexpr int hop_limit = 255;  // marks a packet that no router has forwarded
constexpr milliseconds pause_of_requests{1000};
// Packets that are read before the time is looked at again.
constexpr int most_packets = 16;

std::expected<Fd, SysError> open_socket() {
    Fd socket(::socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMPV6));
    if (!socket) return sys_error("socket");
    icmp6_filter filter{};
    ICMP6_FILTER_SETBLOCKALL(&filter);
    ICMP6_FILTER_SETPASS(ND_ROUTER_ADVERT, &filter);
    constexpr int on = 1;
    const auto set = [&](int level, int option, const auto& value) {
        return ::setsockopt(socket.get(), level, option, &value, sizeof value) == 0;
    };
    if (!set(IPPROTO_ICMPV6, ICMP6_FILTER, filter) || !set(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, hop_limit) ||
        !set(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, on) || !set(IPPROTO_IPV6, IPV6_RECVPKTINFO, on))
        return sys_error("setsockopt");
    return socket;
}

// Fails while the interface has no link-local address or no carrier; the next request is soon.
void send_request(int socket, const std::string& interface) {
    nd_router_solicit request{};
    request.nd_rs_type = ND_ROUTER_SOLICIT;
    sockaddr_in6 routers{};
    routers.sin6_family = AF_INET6;
    routers.sin6_scope_id = ::if_nametoindex(interface.c_str());
    if (routers.sin6_scope_id == 0 || ::inet_pton(AF_INET6, "ff02::2", &routers.sin6_addr) != 1) return;
    ::sendto(socket, &request, sizeof request, 0, reinterpret_cast<const sockaddr*>(&routers),
             sizeof routers);
}

struct Received {
    std::string interface;
    RouterFacts facts;
};

// Takes a message from the socket; nullopt if there is none, or no sound advertisement of a neighbour.
std::optional<Received> receive(int socket) {
    std::array<std::uint8_t, 4096> bytes;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(in6_pktinfo))> space{};
    sockaddr_in6 from{};
    iovec data{bytes.data(), bytes.size()};
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof from;
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = space.data();
    message.msg_controllen = space.size();
    const ssize_t count = ::recvmsg(socket, &message, MSG_DONTWAIT);
    if (count < 0 || (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return std::nullopt;
    int hops = 0;
    unsigned index = 0;
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level != IPPROTO_IPV6) continue;
        if (part->cmsg_type == IPV6_HOPLIMIT) std::memcpy(&hops, CMSG_DATA(part), sizeof hops);
        in6_pktinfo arrival{};
        if (part->cmsg_type == IPV6_PKTINFO) {
            std::memcpy(&arrival, CMSG_DATA(part), sizeof arrival);
            index = arrival.ipi6_ifindex;
        }
    }
    std::array<char, IF_NAMESIZE> name{};
    if (hops != hop_limit || !IN6_IS_ADDR_LINKLOCAL(&from.sin6_addr) ||
        ::if_indextoname(index, name.data()) == nullptr)
        return std::nullopt;
    auto facts =
        parse_router_advertisement(std::span(bytes).first(static_cast<std::size_t>(count)), name.data());
    if (!facts) return std::nullopt;
    return Received{name.data(), *std::move(facts)};
}

// A global address of the interface; empty if there is none.
std::string global_address(const std::string& interface) {
    ifaddrs* list = nullptr;
    if (::getifaddrs(&list) != 0) return {};
    const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(list, ::freeifaddrs);
    for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
        if (entry->ifa_name != interface || entry->ifa_addr == nullptr ||
            entry->ifa_addr->sa_family != AF_INET6)
            continue;
        const in6_addr& address = reinterpret_cast<const sockaddr_in6*>(entry->ifa_addr)->sin6_addr;
        std::array<char, INET6_ADDRSTRLEN> text{};
        if (!IN6_IS_ADDR_LINKLOCAL(&address) &&
            ::inet_ntop(AF_INET6, &address, text.data(), text.size()) != nullptr)
            return text.data();
    }
    return {};
}

std::expected<void, std::string> write_answer(const std::string& run, const std::string& interface,
                                              const std::string& text) {
    const std::string path = fmt::format("{}/net6-{}.conf", run, interface);
    const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!file || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        return std::unexpected(fmt::format("{}: {}", path, sys_error("write").error().message()));
    return {};
}

void take_advertisements(int socket, std::map<std::string, RouterFacts>& answers) {
    for (int packets = 0; packets < most_packets; ++packets) {
        auto received = receive(socket);
        if (!received) return;
        if (!received->facts.name_servers.empty()) answers[received->interface] = std::move(received->facts);
    }
}

}  // namespace

std::expected<bool, std::string> ask_routers(const std::vector<std::string>& interfaces,
                                             const std::string& run, milliseconds patience) {
    const auto socket = open_socket();
    if (!socket)
        return std::unexpected(
            fmt::format("asking IPv6 routers for name servers: {}", socket.error().message()));
    std::map<std::string, RouterFacts> answers;
    const auto end = Clock::now() + patience;
    auto next_request = Clock::now();
    while (true) {
        const auto now = Clock::now();
        if (now >= next_request) {
            for (const std::string& interface : interfaces) send_request(socket->get(), interface);
            next_request = now + pause_of_requests;
        }
        take_advertisements(socket->get(), answers);
        for (const auto& [interface, facts] : answers) {
            const std::string address = global_address(interface);
            if (address.empty()) continue;
            if (auto written = write_answer(run, interface, network_answer_text(facts, interface, address));
                !written)
                return std::unexpected(written.error());
            return true;
        }
        if (now >= end) return false;
        pollfd input{.fd = socket->get(), .events = POLLIN, .revents = 0};
        // The kernel's address appears without a message on the socket.
        ::poll(&input, 1, answers.empty() ? static_cast<int>(pause_of_requests.count()) : 100);
    }
}

}  // namespace holdfast::client
