// IP addresses as values: comparison, masks and text form, without sockets.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

// An IPv4 or IPv6 address. IPv4 is stored as IPv4-mapped IPv6 (::ffff:a.b.c.d), so that a client has the same
// address through an IPv6 socket.
struct Address {
    std::array<std::uint8_t, 16> bytes{};

    [[nodiscard]] bool is_v4() const noexcept;
    bool operator==(const Address&) const = default;
    auto operator<=>(const Address&) const = default;
};

// Returns nullopt unless `text` is a numeric address.
[[nodiscard]] std::optional<Address> parse_address(std::string_view text);
// Formats like inet_ntop(3); IPv4 in dotted form.
[[nodiscard]] std::string to_string(const Address& address);
// Clears all bits after the first `length`, which counts from the first bit of the address's own family.
[[nodiscard]] Address network_of(const Address& address, unsigned length) noexcept;
// Clears all bits after the first `bits` of the 128.
[[nodiscard]] Address masked(const Address& address, unsigned bits) noexcept;
// Returns the unit that limits count as a single client: an IPv4 address, or the /64 of an IPv6 address,
// since an IPv6 host may use any address of its /64.
[[nodiscard]] Address place_of(const Address& address) noexcept;

inline constexpr unsigned mapped_bits = 96;  // length of the prefix ::ffff:0:0/96 before an IPv4 address

}  // namespace holdfast
