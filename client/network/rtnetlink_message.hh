// Messages of rtnetlink(7) about interfaces, addresses and routes, as bytes: the kernel's messages to facts,
// and requests to bytes. A message of a dump can be sent back to restore what it describes, as `ip address
// save` and `ip route save` of iproute2 do.
//
// No system call, no allocation: may be used after the seal.
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "common/text/fixed_text.hh"

namespace holdfast::client {

// An IPv4 or IPv6 address in network byte order. `family`: AF_INET, AF_INET6; 0: none.
struct IpAddress {
    std::uint8_t family = 0;
    std::array<std::uint8_t, 16> bytes{};  // IPv4 uses the first four

    [[nodiscard]] std::size_t length() const noexcept;
    bool operator==(const IpAddress&) const = default;
};
// "10.77.0.1", "fd00::1"; empty without a family.
[[nodiscard]] FixedText<64> text_of(const IpAddress& address) noexcept;

using InterfaceName = FixedText<16>;

struct InterfaceFacts {
    std::uint32_t index = 0;  // 0: none
    InterfaceName name;
    FixedText<16> kind;       // "bridge", "bond", "vlan", ...; empty: hardware
    FixedText<32> hardware;   // bytes of the hardware address
    std::uint32_t flags = 0;  // IFF_UP, ...
    std::uint32_t mtu = 0;
    std::uint32_t master = 0;  // interface of which it is a port; 0: none

    bool operator==(const InterfaceFacts&) const = default;
};

struct AddressFacts {
    std::uint32_t interface = 0;
    IpAddress address;
    std::uint8_t scope = 0;   // RT_SCOPE_UNIVERSE, ...
    std::uint32_t flags = 0;  // IFA_F_TEMPORARY, ...
};

struct RouteFacts {
    std::uint8_t family = 0;
    std::uint32_t interface = 0;  // 0: none, or several
    std::uint32_t table = 0;
    std::uint8_t type = 0;      // RTN_UNICAST, ...
    std::uint8_t protocol = 0;  // RTPROT_RA, ...
    bool cached = false;
    bool has_gateway = false;
};

// Empty for a message of another type, or an invalid one.
[[nodiscard]] std::optional<InterfaceFacts> read_interface(const nlmsghdr& message) noexcept;
[[nodiscard]] std::optional<AddressFacts> read_address(const nlmsghdr& message) noexcept;
[[nodiscard]] std::optional<RouteFacts> read_route(const nlmsghdr& message) noexcept;

// A request that grows by its attributes. Attributes that do not fit are dropped, and the request becomes
// empty.
class NetlinkRequest {
public:
    // `body`: the structure that follows the header.
    NetlinkRequest(std::uint16_t type, std::uint16_t flags, std::span<const std::byte> body) noexcept;
    void add(std::uint16_t attribute, std::span<const std::byte> value) noexcept;
    void add(std::uint16_t attribute, std::uint32_t value) noexcept;
    // Number that the kernel's answers will carry; nothing for an empty request.
    void set_sequence(std::uint32_t sequence) noexcept;
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept {
        return std::span(bytes_).first(length_);
    }

private:
    void append(std::span<const std::byte> value) noexcept;
    alignas(nlmsghdr) std::array<std::byte, 1024> bytes_{};
    std::size_t length_ = 0;
    bool overflown_ = false;
};

// Requests. `interface`: index.
[[nodiscard]] NetlinkRequest route_request(const IpAddress& destination, std::uint32_t scope) noexcept;
[[nodiscard]] NetlinkRequest raise_request(std::uint32_t interface,
                                           std::optional<std::uint32_t> mtu) noexcept;
// Restores the address or the route of the kernel's message on an interface; never replaces another. An IPv4
// address is restored without expiry: the daemon renews its lease.
[[nodiscard]] NetlinkRequest restore_request(const nlmsghdr& message, std::uint32_t interface) noexcept;
// Removes the address of the kernel's message from an interface.
[[nodiscard]] NetlinkRequest remove_request(const nlmsghdr& message, std::uint32_t interface) noexcept;

// Messages of the kernel, one after the other. A message that does not fit is dropped.
class MessageStore {
public:
    void clear() noexcept { length_ = 0; }
    void add(const nlmsghdr& message) noexcept;
    [[nodiscard]] bool empty() const noexcept { return length_ == 0; }
    // Calls `take` with each message.
    template <class Take>
    void each(Take&& take) const {
        for (std::size_t at = 0; at < length_;) {
            const auto& message = *reinterpret_cast<const nlmsghdr*>(bytes_.data() + at);
            take(message);
            at += NLMSG_ALIGN(message.nlmsg_len);
        }
    }

private:
    alignas(nlmsghdr) std::array<std::byte, 8192> bytes_{};
    std::size_t length_ = 0;
};

}  // namespace holdfast::client
