// Accepts the spellings that people copy from labels and from `ip link`; refuses everything else with the
// reason.

#include "netboot/name/host_keys.hh"

#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

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

// Values that vendors have left in the firmware of many mainboards, besides those that repeat a byte. A value
// stands here in one order of its bytes; firmware shows the first three fields in either.
constexpr std::string_view shared_uuids[] = {
    "03000200-0400-0500-0006-000700080009", "00010203-0405-0607-0809-0a0b0c0d0e0f",
    "00112233-4455-6677-8899-aabbccddeeff", "01234567-89ab-cdef-0123-456789abcdef",
    "12345678-1234-1234-1234-123456789abc", "12345678-1234-5678-90ab-cddeefaabbcc",
    "12345678-1234-5678-1234-567812345678", "6ab5b300-538d-1014-9fb5-b0684d007b53",
    "deadbeef-dead-beef-dead-beefdeadbeef", "4c4c4544-0000-2010-8020-80c04f202020",
};

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

constexpr std::string_view shape_of_uuid = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

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

// The UUID with the bytes of its first three fields in the other order.
std::string other_byte_order(std::string_view uuid) {
    std::string other(uuid);
    constexpr std::size_t swapped[][2] = {{0, 6}, {2, 4}, {9, 11}, {14, 16}};
    for (const auto& [first, second] : swapped)
        std::swap_ranges(other.begin() + first, other.begin() + first + 2, other.begin() + second);
    return other;
}

// True if all 16 bytes are the same, or all but the last are zeros.
bool repeats_a_byte(std::string_view digits) {
    const bool same = digits.substr(2) == digits.substr(0, digits.size() - 2);
    return same || digits.find_first_not_of('0') >= digits.size() - 2;
}

bool is_shared(const std::string& uuid) {
    return repeats_a_byte(lower_hex_of(uuid)) || std::ranges::count(shared_uuids, uuid) != 0 ||
           std::ranges::count(shared_uuids, other_byte_order(uuid)) != 0;
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

bool is_stored_uuid(std::string_view word) {
    return has_shape(word, shape_of_uuid) && std::ranges::all_of(word, [](char c) { return c == lower(c); });
}

Read<std::string> read_uuid(std::string_view word) {
    if (!has_shape(word, shape_of_uuid))
        return unexpected(
            fmt::format("{}: invalid UUID; write the output of `dmidecode -s system-uuid` of the machine",
                        printable(word)));
    std::string uuid;
    for (const char c : word) uuid += lower(c);
    if (is_shared(uuid))
        return unexpected(fmt::format(
            "{}: many mainboards report this value instead of a UUID of their own, and each of them would "
            "become this host; use --mac",
            printable(word)));
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

std::string uuid_in_smbios_order(std::string_view uuid) {
    std::string turned(uuid);
    // Each pair is the place of a byte in the text, and the place of the byte that goes there.
    constexpr std::pair<std::size_t, std::size_t> places[] = {{0, 6},  {2, 4},  {4, 2},   {6, 0},
                                                              {9, 11}, {11, 9}, {14, 16}, {16, 14}};
    for (const auto& [to, from] : places) turned.replace(to, 2, uuid.substr(from, 2));
    return turned;
}

std::vector<std::string> file_names_of(const Keys& keys) {
    std::vector<std::string> names;
    if (!keys.uuid.empty()) names = {uuid_in_smbios_order(keys.uuid), keys.uuid};
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
