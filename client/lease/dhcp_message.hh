// The two messages by which a DHCP lease is renewed (RFC 2131, RFC 2132), as bytes: the request, and what a
// server says to it.
//
// Pure, and allocates nothing: the daemon uses it after its seal. The network is not trusted: a reply is
// taken whole, and means one thing, or is none.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "common/text/fixed_text.hh"

namespace holdfast::client {

// An IPv4 address as a number: 10.77.0.1 is 0x0a4d0001.
using Ipv4 = std::uint32_t;

// "10.77.0.1"
[[nodiscard]] FixedText<15> text_of(Ipv4 address);

inline constexpr std::uint32_t infinite_lease = 0xffffffff;

// What a DHCP server knows a client by. It must be the same in every message of a lease: what klibc's
// ipconfig sent when it got it. That sends no client identifier, the vendor class "Linux ipconfig", and a
// host name where one was asked for.
struct DhcpClient {
    std::uint8_t hardware_type = 1;    // as in ARP; 1: Ethernet
    std::uint8_t hardware_length = 6;  // at most 16
    std::array<std::uint8_t, 16> hardware{};
    FixedText<64> hostname;  // empty: none is sent

    bool operator==(const DhcpClient&) const = default;
};

struct DhcpRequest {
    std::array<std::uint8_t, 400> bytes{};
    std::size_t length = 0;
};

// A DHCPREQUEST of the states RENEWING and REBINDING, which differ only in whom they are sent to. `seconds`:
// since when the client has been trying.
[[nodiscard]] DhcpRequest renewal_request(const DhcpClient& client, Ipv4 address, std::uint32_t transaction,
                                          std::uint16_t seconds) noexcept;

struct DhcpReply {
    enum class Kind : std::uint8_t { acknowledged, refused };  // DHCPACK, DHCPNAK
    Kind kind = Kind::refused;
    Ipv4 address = 0;             // yiaddr
    Ipv4 server = 0;              // the server identifier; 0: it names none that could be sent to
    std::uint32_t lease = 0;      // in seconds, as T1 and T2; 0: it names none
    std::uint32_t renewal = 0;    // T1
    std::uint32_t rebinding = 0;  // T2

    bool operator==(const DhcpReply&) const = default;
};

// Empty for everything that is not an answer to this client's transaction: too short, cut off, a length that
// does not fit its option, an option that says two things.
[[nodiscard]] std::optional<DhcpReply> read_reply(const DhcpClient& client, std::uint32_t transaction,
                                                  std::span<const std::uint8_t> packet) noexcept;

}  // namespace holdfast::client
