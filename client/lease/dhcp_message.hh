// The two messages that renew a DHCP lease (RFC 2131, RFC 2132), as bytes: the request, and a server's reply.
//
// Pure, and allocates nothing: the daemon uses them after its seal. The network is not trusted: a reply is
// either valid as a whole and unambiguous, or rejected.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "client/lease/network_facts.hh"
#include "common/text/fixed_text.hh"

namespace holdfast::client {

// An IPv4 address as a number: 10.77.0.1 is 0x0a4d0001.
using Ipv4 = std::uint32_t;

// "10.77.0.1"
[[nodiscard]] FixedText<15> text_of(Ipv4 address);

inline constexpr std::uint32_t infinite_lease = 0xffffffff;

// DHCP clients of initramfs images. Each identifies itself to a server in its own way.
enum class DhcpSoftware : std::uint8_t {
    ipconfig,  // klibc: no client identifier, the vendor class "Linux ipconfig"
    networkd,  // systemd-networkd with dracut's ClientIdentifier=mac: type and hardware address
    dhclient,  // ISC: neither
};

// Identity of a client for a DHCP server. The identity must be equal in every message of a lease, and so
// repeats that of the software which got the lease, with a host name if requested.
struct DhcpClient {
    DhcpSoftware software = DhcpSoftware::ipconfig;
    std::uint8_t hardware_type = 1;    // as in ARP; 1: Ethernet
    std::uint8_t hardware_length = 6;  // at most 16
    std::array<std::uint8_t, 16> hardware{};
    FixedText<64> hostname;  // empty: not sent

    bool operator==(const DhcpClient&) const = default;
};

struct DhcpRequest {
    std::array<std::uint8_t, 400> bytes{};
    std::size_t length = 0;
};

// Makes a DHCPREQUEST for the states RENEWING and REBINDING, which differ only in the destination. `seconds`:
// time since the client's first attempt.
[[nodiscard]] DhcpRequest renewal_request(const DhcpClient& client, Ipv4 address, std::uint32_t transaction,
                                          std::uint16_t seconds) noexcept;

struct DhcpReply {
    enum class Kind : std::uint8_t { acknowledged, refused };  // DHCPACK, DHCPNAK
    Kind kind = Kind::refused;
    Ipv4 address = 0;             // yiaddr
    Ipv4 server = 0;              // server identifier; 0: none, or not a host address
    std::uint32_t lease = 0;      // in seconds, like T1 and T2; 0: not in the reply
    std::uint32_t renewal = 0;    // T1
    std::uint32_t rebinding = 0;  // T2
    NetworkFacts facts = {};

    bool operator==(const DhcpReply&) const = default;
};

// Parses a reply. Returns nullopt unless the packet is an answer to this client's transaction; also if it is
// too short or truncated, if a length does not fit its option, or if an option has contradictory values.
[[nodiscard]] std::optional<DhcpReply> read_reply(const DhcpClient& client, std::uint32_t transaction,
                                                  std::span<const std::uint8_t> packet) noexcept;

}  // namespace holdfast::client
