// Accepts the spellings that people copy from labels and from `ip link`; refuses everything else with the
// reason.

#include "netboot/name/host_keys.hh"

#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <optional>

#include "common/text/number.hh"
#include "common/text/printable.hh"
#include "common/text/text.hh"

namespace holdfast::netboot {
namespace {

using std::unexpected;

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
constexpr bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lower_hex_of(std::string_view word) {
    std::string digits;
    for (const char c : word)
        if (is_hex(c)) digits += lower(c);
    return digits;
}

// True if the word has hexadecimal digits where `shape` has an x, and elsewhere the characters of `shape`.
bool has_shape(std::string_view word, std::string_view shape) {
    return word.size() == shape.size() && std::ranges::equal(word, shape, [](char c, char wanted) {
               return wanted == 'x' ? is_hex(c) : c == wanted;
           });
}

struct Ip {
    std::uint32_t address;
    unsigned length;  // in bits
};

// Four numbers with dots; nullopt for anything else.
std::optional<std::uint32_t> parse_address(std::string_view word) {
    std::uint32_t address = 0;
    if (std::ranges::count(word, '.') != 3) return std::nullopt;
    for (int part = 0; part < 4; ++part) {
        const auto number = number_of<unsigned>(take_until(word, '.'));
        if (!number || *number > 255) return std::nullopt;
        address = address << 8 | *number;
    }
    return address;
}

std::optional<Ip> parse_ip(std::string_view word) {
    std::string_view rest = word;
    const auto address = parse_address(take_until(rest, '/'));
    if (!address) return std::nullopt;
    if (word.find('/') == std::string_view::npos) return Ip{*address, 32};
    const auto length = number_of<unsigned>(rest);
    if (!length || *length > 32) return std::nullopt;
    return Ip{*address, *length};
}

}  // namespace

Read<std::string> read_host_name(std::string_view word) {
    constexpr std::size_t longest = 63;
    const bool good = !word.empty() && word.size() <= longest && (is_letter(word[0]) || is_digit(word[0])) &&
                      (is_letter(word.back()) || is_digit(word.back())) &&
                      std::ranges::all_of(
                          word, [](char c) { return is_letter(c) || is_digit(c) || c == '-' || c == '.'; }) &&
                      word.find("..") == std::string_view::npos;
    if (!good)
        return unexpected(fmt::format(
            "{}: invalid host name; use letters, digits, hyphens and single dots, at most 63 characters",
            printable(word)));
    return std::string(word);
}

Read<std::string> read_mac(std::string_view word) {
    const std::string digits = lower_hex_of(word);
    if (!has_shape(word, "xx:xx:xx:xx:xx:xx") && !has_shape(word, "xx-xx-xx-xx-xx-xx") &&
        !has_shape(word, "xxxxxxxxxxxx"))
        return unexpected(fmt::format(
            "{}: invalid MAC address; write six bytes, for example 52:54:00:12:34:56", printable(word)));
    if (std::string_view("13579bdf").contains(digits[1]) || digits == "000000000000")
        return unexpected(
            fmt::format("{}: no network card has this MAC address (all zeros, or for groups); "
                        "see `ip link` on the machine, or the screen of its firmware",
                        printable(word)));
    std::string mac;
    for (std::size_t at = 0; at < digits.size(); at += 2) mac += (at == 0 ? "" : ":") + digits.substr(at, 2);
    return mac;
}

Read<std::string> read_uuid(std::string_view word) {
    if (!has_shape(word, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"))
        return unexpected(
            fmt::format("{}: invalid UUID; write the output of `dmidecode -s system-uuid` of the machine",
                        printable(word)));
    std::string uuid;
    for (const char c : word) uuid += lower(c);
    const std::string digits = lower_hex_of(word);
    if (digits.find_first_not_of(digits[0]) == std::string::npos)
        return unexpected(
            fmt::format("{}: mainboards without a UUID report this value; use --mac", printable(word)));
    return uuid;
}

Read<std::string> read_ip(std::string_view word) {
    const auto ip = parse_ip(word);
    if (!ip)
        return unexpected(fmt::format(
            "{}: invalid IPv4 address; write for example 192.0.2.5, or 192.0.2.0/24 for a network",
            printable(word)));
    if (ip->length % 4 != 0 || ip->length == 0)
        return unexpected(fmt::format(
            "{}: loaders find networks by hexadecimal digits; use a length of 4, 8, 12, and so on up to 32",
            printable(word)));
    if (ip->length < 32 && (ip->address << ip->length) != 0)
        return unexpected(
            fmt::format("{}: the address has bits beyond the length of the network; set these bits to 0",
                        printable(word)));
    const std::uint32_t a = ip->address;
    std::string text = fmt::format("{}.{}.{}.{}", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
    return ip->length == 32 ? text : fmt::format("{}/{}", text, ip->length);
}

std::string file_name_of_mac(std::string_view mac) {
    std::string name = "01-" + std::string(mac);
    std::ranges::replace(name, ':', '-');
    return name;
}

std::string file_name_of_ip(std::string_view word) {
    const Ip ip = parse_ip(word).value_or(Ip{});
    return fmt::format("{:08X}", ip.address).substr(0, ip.length / 4);
}

std::vector<std::string> file_names_of(const Keys& keys) {
    std::vector<std::string> names;
    if (!keys.uuid.empty()) names.push_back(keys.uuid);
    for (const std::string& mac : keys.macs) names.push_back(file_name_of_mac(mac));
    for (const std::string& ip : keys.ips) names.push_back(file_name_of_ip(ip));
    return names;
}

std::vector<std::string> names_tried_for(const Keys& keys) {
    std::vector<std::string> names = file_names_of({keys.uuid, keys.macs, {}});
    for (const std::string& ip : keys.ips)
        for (std::string name = file_name_of_ip(ip); !name.empty(); name.pop_back()) names.push_back(name);
    return names;
}

}  // namespace holdfast::netboot
