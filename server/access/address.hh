// IP addresses as values: to be compared, masked and written, without sockets.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::server {

// An IPv4 or IPv6 address. IPv4 is kept as IPv4-mapped IPv6 (::ffff:a.b.c.d), so that a client that comes in
// through an IPv6 socket is the same client.
struct Address {
    std::array<std::uint8_t, 16> bytes{};

    [[nodiscard]] bool is_v4() const noexcept;
    bool operator==(const Address&) const = default;
    auto operator<=>(const Address&) const = default;
};

// nullopt for what is not a numeric address.
[[nodiscard]] std::optional<Address> parse_address(std::string_view text);
// As inet_ntop writes it; IPv4 in dotted form.
[[nodiscard]] std::string to_string(const Address& address);
// The address with all bits after the first `length` cleared; `length` counts from the family's own first
// bit.
[[nodiscard]] Address network_of(const Address& address, unsigned length) noexcept;
// The same, with `bits` counted from the first of the 128.
[[nodiscard]] Address masked(const Address& address, unsigned bits) noexcept;
// What counts as one client where clients share something: an IPv4 address, or the /64 of an IPv6 address,
// since an IPv6 host has all of it to come from.
[[nodiscard]] Address place_of(const Address& address) noexcept;

inline constexpr unsigned mapped_bits = 96;  // of an IPv4 address, what comes before it

}  // namespace holdfast::server
