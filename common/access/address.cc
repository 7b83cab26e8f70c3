// Holds every address in 128 bits; only this file knows the position of IPv4 in them.

#include "common/access/address.hh"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>

namespace holdfast {
namespace {

constexpr std::array<std::uint8_t, 12> mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

Address masked(const Address& address, unsigned bits) noexcept {
    Address result = address;
    for (unsigned i = 0; i < result.bytes.size(); ++i) {
        const unsigned first_bit = i * 8;
        if (bits >= first_bit + 8) continue;
        const unsigned kept = bits > first_bit ? bits - first_bit : 0;
        result.bytes[i] = static_cast<std::uint8_t>(result.bytes[i] & (0xff00U >> kept));
    }
    return result;
}

bool Address::is_v4() const noexcept {
    return std::equal(mapped_prefix.begin(), mapped_prefix.end(), bytes.begin());
}

std::optional<Address> parse_address(std::string_view text) {
    if (text.empty() || text.size() >= INET6_ADDRSTRLEN || text.find('\0') != std::string_view::npos)
        return std::nullopt;
    const std::string terminated(text);
    Address address;
    if (::inet_pton(AF_INET6, terminated.c_str(), address.bytes.data()) == 1) return address;
    std::array<std::uint8_t, 4> v4{};
    if (::inet_pton(AF_INET, terminated.c_str(), v4.data()) != 1) return std::nullopt;
    std::ranges::copy(mapped_prefix, address.bytes.begin());
    std::ranges::copy(v4, address.bytes.begin() + mapped_prefix.size());
    return address;
}

std::string to_string(const Address& address) {
    char text[INET6_ADDRSTRLEN] = "";
    const bool v4 = address.is_v4();
    ::inet_ntop(v4 ? AF_INET : AF_INET6, address.bytes.data() + (v4 ? mapped_prefix.size() : 0), text,
                sizeof text);
    return text;
}

Address network_of(const Address& address, unsigned length) noexcept {
    return masked(address, address.is_v4() ? length + mapped_bits : length);
}

Address place_of(const Address& address) noexcept {
    return address.is_v4() ? address : network_of(address, 64);
}

}  // namespace holdfast
