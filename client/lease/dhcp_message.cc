// The fixed part of BOOTP, then options: a code, a length, and that number of bytes. Options may continue in
// the fixed part's fields for a file and a server name, if option 52 says so.

#include "client/lease/dhcp_message.hh"

#include <algorithm>
#include <string_view>

#include "common/protocol/wire.hh"

namespace holdfast::client {
namespace {

using nbd::be16;
using nbd::be32;
using Bytes = std::span<const std::uint8_t>;

struct WireDhcp {
    std::uint8_t op;
    std::uint8_t htype;
    std::uint8_t hlen;
    std::uint8_t hops;
    be32 xid;
    be16 secs;
    be16 flags;
    be32 ciaddr;
    be32 yiaddr;
    be32 siaddr;
    be32 giaddr;
    std::array<std::uint8_t, 16> chaddr;
    std::array<std::uint8_t, 64> sname;
    std::array<std::uint8_t, 128> file;
    be32 cookie;
};
static_assert(sizeof(WireDhcp) == 240);

constexpr std::uint8_t boot_request = 1;
constexpr std::uint8_t boot_reply = 2;
constexpr std::uint32_t magic_cookie = 0x63825363;
// Minimum length: some relays and servers drop messages shorter than BOOTP's.
constexpr std::size_t least_length = 300;

constexpr std::uint8_t message_request = 3;
constexpr std::uint8_t message_ack = 5;
constexpr std::uint8_t message_nak = 6;

enum Option : std::uint8_t {
    option_pad = 0,
    option_hostname = 12,
    option_lease = 51,
    option_overload = 52,
    option_message = 53,
    option_server = 54,
    option_parameters = 55,
    option_renewal = 58,
    option_rebinding = 59,
    option_vendor_class = 60,
    option_client = 61,
    option_end = 255,
};

constexpr std::string_view vendor_class = "Linux ipconfig";
// ipconfig's list, in its order: some sites identify clients by this list.
constexpr std::array<std::uint8_t, 11> parameters{1, 3, 6, 12, 15, 17, 26, 28, 40, 119, 121};

void add(DhcpRequest& request, Bytes bytes) noexcept {
    std::ranges::copy(bytes, request.bytes.begin() + static_cast<std::ptrdiff_t>(request.length));
    request.length += bytes.size();
}

void add_option(DhcpRequest& request, std::uint8_t code, Bytes value) noexcept {
    add(request, std::array{code, static_cast<std::uint8_t>(value.size())});
    add(request, value);
}

Bytes bytes_of(std::string_view text) noexcept {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// Stores an option's value. Returns false if a repeated option has a different value.
template <class Number>
bool take_number(std::optional<Number>& field, Bytes value) noexcept {
    if (value.size() != sizeof(Number)) return false;
    const Number number = nbd::load<nbd::BigEndian<Number>>(value);
    return field.emplace(field.value_or(number)) == number;
}

struct Options {
    std::optional<std::uint8_t> message, overload;
    std::optional<std::uint32_t> server, lease, renewal, rebinding;
    FactsReader facts;

    bool take(std::uint8_t code, Bytes value) noexcept {
        switch (code) {
            case option_message: return take_number(message, value);
            case option_overload: return take_number(overload, value);
            case option_server: return take_number(server, value);
            case option_lease: return take_number(lease, value);
            case option_renewal: return take_number(renewal, value);
            case option_rebinding: return take_number(rebinding, value);
            default: facts.take(code, value); return true;
        }
    }

    // Returns false if an option exceeds the end.
    bool take_all(Bytes field) noexcept {
        while (!field.empty() && field[0] != option_end) {
            const std::uint8_t code = field[0];
            field = field.subspan(1);
            if (code == option_pad) continue;
            if (field.empty() || field.size() - 1 < field[0]) return false;
            if (!take(code, field.subspan(1, field[0]))) return false;
            field = field.subspan(1 + std::size_t{field[0]});
        }
        return true;
    }
};

bool read_options(Options& options, const WireDhcp& head, Bytes rest) noexcept {
    if (!options.take_all(rest)) return false;
    const unsigned overload = options.overload.value_or(0);
    if (overload > 3) return false;
    if ((overload & 1) != 0 && !options.take_all(head.file)) return false;
    return (overload & 2) == 0 || options.take_all(head.sname);
}

// Rejects "this network", loopback, multicast, reserved and broadcast addresses.
bool is_host(Ipv4 address) noexcept {
    const std::uint32_t first = address >> 24;
    return first != 0 && first != 127 && first < 224;
}

// True if the packet is a reply to this client's request.
bool is_for(const WireDhcp& head, const DhcpClient& client, std::uint32_t transaction) noexcept {
    if (head.op != boot_reply || head.cookie != magic_cookie || head.xid != transaction) return false;
    if (head.htype != client.hardware_type || head.hlen != client.hardware_length) return false;
    const std::size_t length = std::min<std::size_t>(client.hardware_length, client.hardware.size());
    return std::equal(head.chaddr.begin(), head.chaddr.begin() + static_cast<std::ptrdiff_t>(length),
                      client.hardware.begin());
}

void add_identity(DhcpRequest& request, const DhcpClient& client) noexcept {
    std::array<std::uint8_t, 1 + sizeof client.hardware> identifier{client.hardware_type};
    std::ranges::copy(client.hardware, identifier.begin() + 1);
    const std::size_t length = std::min<std::size_t>(client.hardware_length, client.hardware.size());
    switch (client.software) {
        case DhcpSoftware::ipconfig: return add_option(request, option_vendor_class, bytes_of(vendor_class));
        case DhcpSoftware::networkd:
            return add_option(request, option_client, Bytes(identifier).first(1 + length));
        case DhcpSoftware::dhclient: return;
    }
}

}  // namespace

FixedText<15> text_of(Ipv4 address) {
    return FixedText<15>::of("{}.{}.{}.{}", address >> 24, address >> 16 & 0xff, address >> 8 & 0xff,
                             address & 0xff);
}

DhcpRequest renewal_request(const DhcpClient& client, Ipv4 address, std::uint32_t transaction,
                            std::uint16_t seconds) noexcept {
    // Leaves the broadcast flag clear: the flag is for a client without an address.
    WireDhcp head{};
    head.op = boot_request;
    head.htype = client.hardware_type;
    head.hlen = client.hardware_length;
    head.xid = transaction;
    head.secs = seconds;
    head.ciaddr = address;
    head.chaddr = client.hardware;
    head.cookie = magic_cookie;
    DhcpRequest request;
    add(request, nbd::bytes_of(head));
    add_option(request, option_message, std::array{message_request});
    add_option(request, option_parameters, parameters);
    add_identity(request, client);
    if (!client.hostname.empty()) add_option(request, option_hostname, bytes_of(client.hostname));
    add(request, std::array{std::uint8_t{option_end}});
    request.length = std::max(request.length, least_length);
    return request;
}

std::optional<DhcpReply> read_reply(const DhcpClient& client, std::uint32_t transaction,
                                    Bytes packet) noexcept {
    if (packet.size() < sizeof(WireDhcp)) return std::nullopt;
    const auto head = nbd::load<WireDhcp>(packet);
    if (!is_for(head, client, transaction)) return std::nullopt;
    Options options;
    if (!read_options(options, head, packet.subspan(sizeof(WireDhcp)))) return std::nullopt;
    const bool acknowledged = options.message == message_ack;
    if (!acknowledged && options.message != message_nak) return std::nullopt;
    // Rejects an acknowledgement without a duration.
    if (acknowledged && options.lease.value_or(0) == 0) return std::nullopt;
    DhcpReply reply;
    reply.kind = acknowledged ? DhcpReply::Kind::acknowledged : DhcpReply::Kind::refused;
    reply.address = head.yiaddr;
    const Ipv4 server = options.server.value_or(0);
    reply.server = is_host(server) ? server : 0;
    reply.lease = options.lease.value_or(0);
    reply.renewal = options.renewal.value_or(0);
    reply.rebinding = options.rebinding.value_or(0);
    reply.facts = options.facts.facts();
    return reply;
}

}  // namespace holdfast::client
