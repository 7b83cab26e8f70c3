// Follows the limits of the C library, the kernel and the NBD protocol.

#include "client/address/word_checks.hh"

#include <algorithm>

#include "client/address/server_address.hh"
#include "common/text/number.hh"
#include "common/text/printable.hh"

namespace holdfast::client {
namespace {

// Checks for four numbers of 0-255, as accepted by inet_pton().
bool is_ipv4(std::string_view text) {
    const auto numbers = split(text, '.');
    return numbers.size() == 4 && std::ranges::all_of(numbers, [](std::string_view n) {
               return canonical_number(n, 255).has_value();
           });
}

// Counts groups of up to four hexadecimal digits; 0 for an empty text. An IPv4 address may replace the last
// two groups. Negative if the text is invalid.
int count_groups(std::string_view text) {
    if (text.empty()) return 0;
    const auto groups = split(text, ':');
    int count = 0;
    for (const std::string_view group : groups) {
        const bool last = group.data() == groups.back().data();
        if (last && group.find('.') != std::string_view::npos) {
            if (!is_ipv4(group)) return -1;
            count += 2;
        } else if (group.empty() || group.size() > 4 ||
                   group.find_first_not_of("0123456789abcdefABCDEF") != std::string_view::npos) {
            return -1;
        } else {
            ++count;
        }
    }
    return count;
}

// Checks an interface name.
bool is_zone(std::string_view zone) {
    constexpr std::size_t longest_zone = 15;  // IFNAMSIZ without its NUL
    return !zone.empty() && zone.size() <= longest_zone && has_only_letters_digits_or("._-", zone);
}

}  // namespace

bool has_only_letters_digits_or(std::string_view others, std::string_view text) {
    return std::ranges::all_of(text, [others](char c) {
        return is_letter(c) || is_digit(c) || others.find(c) != std::string_view::npos;
    });
}

bool all_digits(std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

bool has_control_character(std::string_view text) {
    for (const char c : text)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return true;
    return false;
}

std::optional<std::uint32_t> canonical_number(std::string_view text, std::uint32_t most) {
    if (text.size() > 1 && text.front() == '0') return {};
    const auto value = number_of<std::uint32_t>(text);
    return value && *value <= most ? value : std::nullopt;
}

std::optional<std::uint16_t> port_number(std::string_view text) {
    const auto value = number_of<std::uint16_t>(text);
    return value && *value != 0 ? value : std::nullopt;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> words;
    while (true) {
        const std::size_t end = text.find(separator);
        words.push_back(text.substr(0, end));
        if (end == std::string_view::npos) return words;
        text.remove_prefix(end + 1);
    }
}

bool is_ipv6(std::string_view text) {
    const std::size_t percent = text.find('%');
    if (percent != std::string_view::npos && !is_zone(text.substr(percent + 1))) return false;
    const std::string_view address = text.substr(0, percent);
    const std::size_t gap = address.find("::");
    if (gap == std::string_view::npos) return count_groups(address) == 8;
    const int before = count_groups(address.substr(0, gap));
    const int after = count_groups(address.substr(gap + 2));
    const bool dots_before_gap = address.substr(0, gap).find('.') != std::string_view::npos;
    return before >= 0 && after >= 0 && before + after <= 7 && !dots_before_gap;
}

std::string host_problem(std::string_view host) {
    if (host.empty()) return "missing server; begin with a host name or an address";
    if (host.size() > 253) return "host name longer than 253 characters";
    if (!has_only_letters_digits_or("-._", host))
        return fmt::format(
            "invalid character in host name '{}'; enclose an IPv6 address in brackets, and write an export "
            "name with such a character in a URI, nbd://HOST/NAME",
            printable(host));
    // A host of only digits and dots must be an IPv4 address: the C library would read 10.1 and 12345 as
    // unintended addresses.
    const bool digits_and_dots = host.find_first_not_of("0123456789.") == std::string_view::npos;
    if (digits_and_dots && !is_ipv4(host))
        return fmt::format("'{}' is neither an IPv4 address (four numbers 0-255 with dots) nor a host name",
                           host);
    if (host.front() == '-' || host.front() == '.')
        return fmt::format("host name '{}' begins with a hyphen or a dot", host);
    return {};
}

std::string name_problem(std::string_view name) {
    if (name.size() > longest_export_name)
        return fmt::format("export name too long: {} bytes, at most {} allowed", name.size(),
                           longest_export_name);
    if (has_control_character(name)) return "control character in the export name";
    return {};
}

std::string port_problem(std::string_view port) {
    return fmt::format("invalid port '{}' (1-65535)", printable(port));
}

}  // namespace holdfast::client
