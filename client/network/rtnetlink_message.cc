// Every length in a message is compared with the length of its surroundings before use.

#include "client/network/rtnetlink_message.hh"

#include <arpa/inet.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

namespace holdfast::client {
namespace {

struct Attribute {
    std::uint16_t type = 0;
    std::span<const std::byte> value;
};

// Calls `take` with each attribute of a sequence.
template <class Take>
void each_attribute(std::span<const std::byte> rest, Take&& take) {
    while (rest.size() >= sizeof(rtattr)) {
        rtattr head{};
        std::memcpy(&head, rest.data(), sizeof head);
        if (head.rta_len < sizeof head || head.rta_len > rest.size()) return;
        take(Attribute{static_cast<std::uint16_t>(head.rta_type & NLA_TYPE_MASK),
                       rest.subspan(sizeof head, head.rta_len - sizeof head)});
        rest = rest.subspan(std::min<std::size_t>(RTA_ALIGN(head.rta_len), rest.size()));
    }
}

// A message's structure and its attributes; empty for another type, or if the message is too short.
template <class Body>
struct Parts {
    Body body{};
    std::span<const std::byte> attributes;
};
template <class Body>
std::optional<Parts<Body>> parts_of(const nlmsghdr& message, std::uint16_t type) noexcept {
    constexpr std::size_t before = NLMSG_ALIGN(sizeof(nlmsghdr));
    constexpr std::size_t head = before + NLMSG_ALIGN(sizeof(Body));
    if (message.nlmsg_type != type || message.nlmsg_len < head) return std::nullopt;
    const auto* const start = reinterpret_cast<const std::byte*>(&message);
    Parts<Body> parts;
    std::memcpy(&parts.body, start + before, sizeof parts.body);
    parts.attributes = {start + head, message.nlmsg_len - head};
    return parts;
}

std::uint32_t number_in(std::span<const std::byte> value) noexcept {
    std::uint32_t number = 0;
    if (value.size() >= sizeof number) std::memcpy(&number, value.data(), sizeof number);
    return number;
}

std::string_view text_in(std::span<const std::byte> value) noexcept {
    const std::string_view text(reinterpret_cast<const char*>(value.data()), value.size());
    return text.substr(0, text.find('\0'));
}

IpAddress address_in(std::uint8_t family, std::span<const std::byte> value) noexcept {
    IpAddress address{family, {}};
    if (value.size() < address.length()) return {};
    std::memcpy(address.bytes.data(), value.data(), address.length());
    return address;
}

template <class Body>
std::span<const std::byte> bytes_of(const Body& body) noexcept {
    return std::as_bytes(std::span(&body, 1));
}

constexpr auto create = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);

NetlinkRequest address_request(std::uint16_t type, std::uint16_t flags, const Parts<ifaddrmsg>& parts,
                               std::uint32_t interface) noexcept {
    ifaddrmsg body = parts.body;
    body.ifa_index = interface;
    NetlinkRequest request(type, flags, bytes_of(body));
    each_attribute(parts.attributes, [&](const Attribute& each) {
        // The label has the name of the interface, which may be another now.
        const bool expiry = each.type == IFA_CACHEINFO && body.ifa_family == AF_INET;
        if (each.type != IFA_LABEL && !expiry) request.add(each.type, each.value);
    });
    return request;
}

NetlinkRequest restored_route(const Parts<rtmsg>& parts, std::uint32_t interface) noexcept {
    rtmsg body = parts.body;
    body.rtm_flags &= RTNH_F_ONLINK;
    NetlinkRequest request(RTM_NEWROUTE, create, bytes_of(body));
    each_attribute(parts.attributes, [&](const Attribute& each) {
        if (each.type == RTA_OIF) return request.add(RTA_OIF, interface);
        if (each.type != RTA_CACHEINFO) request.add(each.type, each.value);
    });
    return request;
}

}  // namespace

std::size_t IpAddress::length() const noexcept { return family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0; }

FixedText<64> text_of(const IpAddress& address) noexcept {
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (address.length() == 0 ||
        ::inet_ntop(address.family, address.bytes.data(), text.data(), text.size()) == nullptr)
        return {};
    return text.data();
}

std::optional<InterfaceFacts> read_interface(const nlmsghdr& message) noexcept {
    const auto parts = parts_of<ifinfomsg>(message, RTM_NEWLINK);
    if (!parts) return std::nullopt;
    InterfaceFacts facts;
    facts.index = static_cast<std::uint32_t>(parts->body.ifi_index);
    facts.flags = parts->body.ifi_flags;
    each_attribute(parts->attributes, [&](const Attribute& each) {
        switch (each.type) {
            case IFLA_IFNAME: facts.name = text_in(each.value); return;
            case IFLA_MTU: facts.mtu = number_in(each.value); return;
            case IFLA_MASTER: facts.master = number_in(each.value); return;
            case IFLA_ADDRESS:
                facts.hardware =
                    std::string_view(reinterpret_cast<const char*>(each.value.data()), each.value.size());
                return;
            case IFLA_LINKINFO:
                each_attribute(each.value, [&](const Attribute& inner) {
                    if (inner.type == IFLA_INFO_KIND) facts.kind = text_in(inner.value);
                });
                return;
            default: return;
        }
    });
    return facts;
}

std::optional<AddressFacts> read_address(const nlmsghdr& message) noexcept {
    const auto parts = parts_of<ifaddrmsg>(message, RTM_NEWADDR);
    if (!parts) return std::nullopt;
    const std::uint8_t family = parts->body.ifa_family;
    AddressFacts facts{parts->body.ifa_index, {}, parts->body.ifa_scope, parts->body.ifa_flags};
    IpAddress local;
    each_attribute(parts->attributes, [&](const Attribute& each) {
        if (each.type == IFA_ADDRESS) facts.address = address_in(family, each.value);
        if (each.type == IFA_LOCAL) local = address_in(family, each.value);
        if (each.type == IFA_FLAGS) facts.flags = number_in(each.value);
    });
    // On a point-to-point link, IFA_ADDRESS is the peer's.
    if (local.family != 0) facts.address = local;
    return facts;
}

std::optional<RouteFacts> read_route(const nlmsghdr& message) noexcept {
    const auto parts = parts_of<rtmsg>(message, RTM_NEWROUTE);
    if (!parts) return std::nullopt;
    const rtmsg& body = parts->body;
    RouteFacts facts;
    facts.family = body.rtm_family;
    facts.table = body.rtm_table;
    facts.type = body.rtm_type;
    facts.protocol = body.rtm_protocol;
    facts.cached = (body.rtm_flags & RTM_F_CLONED) != 0;
    each_attribute(parts->attributes, [&](const Attribute& each) {
        if (each.type == RTA_OIF) facts.interface = number_in(each.value);
        if (each.type == RTA_TABLE) facts.table = number_in(each.value);
        if (each.type == RTA_GATEWAY || each.type == RTA_VIA) facts.has_gateway = true;
    });
    return facts;
}

NetlinkRequest::NetlinkRequest(std::uint16_t type, std::uint16_t flags,
                               std::span<const std::byte> body) noexcept {
    nlmsghdr head{};
    head.nlmsg_type = type;
    head.nlmsg_flags = flags;
    append(bytes_of(head));
    append(body);
}

void NetlinkRequest::append(std::span<const std::byte> value) noexcept {
    const std::size_t next = length_ + NLMSG_ALIGN(value.size());
    overflown_ = overflown_ || next > bytes_.size();
    if (overflown_) {
        length_ = 0;
        return;
    }
    std::ranges::copy(value, bytes_.begin() + static_cast<std::ptrdiff_t>(length_));
    length_ = next;
    const auto total = static_cast<__u32>(length_);
    std::memcpy(bytes_.data() + offsetof(nlmsghdr, nlmsg_len), &total, sizeof total);
}

void NetlinkRequest::add(std::uint16_t attribute, std::span<const std::byte> value) noexcept {
    rtattr head{};
    head.rta_type = attribute;
    head.rta_len = static_cast<unsigned short>(sizeof head + value.size());
    append(bytes_of(head));
    append(value);
}

void NetlinkRequest::add(std::uint16_t attribute, std::uint32_t value) noexcept {
    add(attribute, bytes_of(value));
}

void NetlinkRequest::set_sequence(std::uint32_t sequence) noexcept {
    if (length_ != 0) std::memcpy(bytes_.data() + offsetof(nlmsghdr, nlmsg_seq), &sequence, sizeof sequence);
}

NetlinkRequest route_request(const IpAddress& destination, std::uint32_t scope) noexcept {
    rtmsg body{};
    body.rtm_family = destination.family;
    body.rtm_dst_len = static_cast<unsigned char>(destination.length() * 8);
    NetlinkRequest request(RTM_GETROUTE, NLM_F_REQUEST, bytes_of(body));
    request.add(RTA_DST, std::as_bytes(std::span(destination.bytes).first(destination.length())));
    if (scope != 0) request.add(RTA_OIF, scope);
    return request;
}

NetlinkRequest raise_request(std::uint32_t interface, std::optional<std::uint32_t> mtu) noexcept {
    ifinfomsg body{};
    body.ifi_index = static_cast<int>(interface);
    body.ifi_flags = IFF_UP;
    body.ifi_change = IFF_UP;
    NetlinkRequest request(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, bytes_of(body));
    if (mtu) request.add(IFLA_MTU, *mtu);
    return request;
}

NetlinkRequest restore_request(const nlmsghdr& message, std::uint32_t interface) noexcept {
    if (const auto address = parts_of<ifaddrmsg>(message, RTM_NEWADDR))
        return address_request(RTM_NEWADDR, create, *address, interface);
    if (const auto route = parts_of<rtmsg>(message, RTM_NEWROUTE)) return restored_route(*route, interface);
    return {0, 0, {}};
}

NetlinkRequest remove_request(const nlmsghdr& message, std::uint32_t interface) noexcept {
    const auto address = parts_of<ifaddrmsg>(message, RTM_NEWADDR);
    if (!address) return {0, 0, {}};
    return address_request(RTM_DELADDR, NLM_F_REQUEST | NLM_F_ACK, *address, interface);
}

void MessageStore::add(const nlmsghdr& message) noexcept {
    const std::size_t size = NLMSG_ALIGN(message.nlmsg_len);
    if (message.nlmsg_len < sizeof message || size > bytes_.size() - length_) return;
    std::memcpy(bytes_.data() + length_, &message, message.nlmsg_len);
    length_ += size;
}

}  // namespace holdfast::client
