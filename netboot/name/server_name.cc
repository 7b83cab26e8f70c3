// Accepts any text: what is no server stays as it is.

#include "netboot/name/server_name.hh"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <vector>

#include "common/text/number.hh"
#include "common/text/text.hh"

namespace holdfast::netboot {
namespace {

using Groups = std::vector<unsigned>;  // numbers of 16 bits

// Appends the two groups of an IPv4 address; false if it is none.
bool take_v4(std::string_view text, Groups& groups) {
    Groups bytes;
    while (!text.empty()) {
        const auto byte = number_of<unsigned>(take_until(text, '.'));
        if (!byte || *byte > 255) return false;
        bytes.push_back(*byte);
    }
    if (bytes.size() != 4) return false;
    groups.push_back(bytes[0] << 8 | bytes[1]);
    groups.push_back(bytes[2] << 8 | bytes[3]);
    return true;
}

// The groups between colons; nullopt if one is invalid.
std::optional<Groups> groups_of(std::string_view text) {
    Groups groups;
    while (!text.empty()) {
        const std::string_view word = take_until(text, ':');
        unsigned group = 0;
        const auto [stop, error] = std::from_chars(word.data(), word.data() + word.size(), group, 16);
        const bool is_group = error == std::errc() && stop == word.data() + word.size() && group <= 0xffff;
        if (is_group)
            groups.push_back(group);
        else if (!take_v4(word, groups))
            return std::nullopt;
    }
    return groups;
}

std::optional<Groups> read_v6(std::string_view text) {
    constexpr std::size_t size = 8;
    const std::size_t gap = text.find("::");
    auto groups = groups_of(text.substr(0, gap));
    if (!groups) return groups;
    if (gap != std::string_view::npos) {
        const auto after = groups_of(text.substr(gap + 2));
        if (!after || groups->size() + after->size() >= size) return std::nullopt;
        groups->resize(size - after->size());
        groups->insert(groups->end(), after->begin(), after->end());
    }
    return groups->size() == size ? groups : std::nullopt;
}

// "[2001:db8:0:0:0:0:0:1%eth0]"; other hosts stay as they are.
std::string plain_host(std::string_view host) {
    if (!host.starts_with('[') || !host.ends_with(']'))
        return std::string(host.substr(0, host.size() - (host.ends_with('.') ? 1 : 0)));
    const std::string_view inside = host.substr(1, host.size() - 2);
    const std::size_t end = std::min(inside.find('%'), inside.size());
    const auto groups = read_v6(inside.substr(0, end));
    return groups ? fmt::format("[{:x}{}]", fmt::join(*groups, ":"), inside.substr(end)) : std::string(host);
}

}  // namespace

std::string_view port_in(std::string_view server) {
    const std::size_t bracket = server.rfind(']');
    const std::size_t colon = server.find(':', bracket == std::string_view::npos ? 0 : bracket);
    return colon == std::string_view::npos ? std::string_view() : server.substr(colon);
}

std::string plain_server(std::string_view server) {
    std::string lower(server);
    std::ranges::transform(lower, lower.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    const std::string_view port = port_in(lower);
    const std::string host = plain_host(std::string_view(lower).substr(0, lower.size() - port.size()));
    const auto number = number_of<unsigned>(port.substr(port.empty() ? 0 : 1));
    if (!number) return host + std::string(port);
    constexpr unsigned usual_port = 10809;
    return *number == usual_port ? host : fmt::format("{}:{}", host, *number);
}

}  // namespace holdfast::netboot
