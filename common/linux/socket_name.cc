// Uses the socket's unique cookie: a later connection with the same addresses has a different cookie.

#include "common/linux/socket_name.hh"

#include <netinet/in.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "common/text/number.hh"
#include "common/text/text.hh"

namespace holdfast {
namespace {

void add_hex(SocketName& name, const SocketAddress& address) noexcept {
    const auto* bytes = reinterpret_cast<const unsigned char*>(&address.bytes);
    name.append(" ");
    for (socklen_t i = 0; i < address.length; ++i) name.add("{:02x}", static_cast<unsigned>(bytes[i]));
}

bool is_inet(const SocketAddress& address) noexcept {
    return address.bytes.ss_family == AF_INET || address.bytes.ss_family == AF_INET6;
}

std::optional<SocketAddress> read_address(std::string_view digits) noexcept {
    SocketAddress address;
    if (digits.empty() || digits.size() % 2 != 0 || digits.size() / 2 > sizeof address.bytes)
        return std::nullopt;
    address.length = static_cast<socklen_t>(digits.size() / 2);
    auto* bytes = reinterpret_cast<unsigned char*>(&address.bytes);
    for (std::size_t i = 0; i < address.length; ++i) {
        const char* pair = digits.data() + 2 * i;
        if (std::from_chars(pair, pair + 2, bytes[i], 16).ptr != pair + 2) return std::nullopt;
    }
    const bool whole = address.bytes.ss_family == AF_INET6 ? address.length >= sizeof(sockaddr_in6)
                                                           : address.length >= sizeof(sockaddr_in);
    return is_inet(address) && whole ? std::optional(address) : std::nullopt;
}

bool is_empty(const SocketNames& names) noexcept { return names.empty() || names == no_socket; }

// Also matches names of older versions, written without the network, or of a UNIX socket without its numbers.
bool is_same(std::string_view recorded, std::string_view name) noexcept {
    if (recorded == name) return true;
    return name.starts_with(recorded) && name.substr(recorded.size()).starts_with(' ') &&
           (recorded == unix_socket || read_socket_name(recorded));
}

SocketName name_of_unix_socket(int socket, std::uint64_t cookie) noexcept {
    struct stat own {};
    const auto network = network_of_socket(socket);
    if (!network || ::fstat(socket, &own) != 0) return unix_socket;
    return SocketName::of("{} {} {} {}", unix_socket, own.st_ino, cookie, *network);
}

}  // namespace

std::optional<std::uint64_t> network_of_socket(int socket) noexcept {
    std::uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    if (::getsockopt(socket, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) != 0) return std::nullopt;
    return cookie;
}

SocketName name_of_socket(int socket) noexcept {
    std::uint64_t cookie = 0;
    socklen_t length = sizeof cookie;
    SocketAddress local;
    SocketAddress remote;
    if (::getsockopt(socket, SOL_SOCKET, SO_COOKIE, &cookie, &length) != 0 ||
        ::getsockname(socket, reinterpret_cast<sockaddr*>(&local.bytes), &local.length) != 0)
        return {};
    if (local.bytes.ss_family == AF_UNIX) return name_of_unix_socket(socket, cookie);
    if (::getpeername(socket, reinterpret_cast<sockaddr*>(&remote.bytes), &remote.length) != 0 ||
        !is_inet(local))
        return {};
    SocketName name = SocketName::of("{}", cookie);
    add_hex(name, local);
    add_hex(name, remote);
    if (const auto network = network_of_socket(socket)) name.add(" {}", *network);
    return name;
}

std::optional<NamedSocket> read_socket_name(std::string_view name) noexcept {
    const auto cookie = number_of<std::uint64_t>(take_until(name, ' '));
    const auto local = read_address(take_until(name, ' '));
    const auto remote = read_address(take_until(name, ' '));
    if (!cookie || !local || !remote || local->bytes.ss_family != remote->bytes.ss_family)
        return std::nullopt;
    NamedSocket socket{*cookie, *local, *remote, std::nullopt};
    if (name.empty()) return socket;
    socket.network = number_of<std::uint64_t>(name);
    return socket.network ? std::optional(socket) : std::nullopt;
}

std::optional<NamedUnixSocket> read_unix_socket_name(std::string_view name) noexcept {
    if (take_until(name, ' ') != unix_socket) return std::nullopt;
    const auto inode = number_of<std::uint32_t>(take_until(name, ' '));
    const auto cookie = number_of<std::uint64_t>(take_until(name, ' '));
    const auto network = number_of<std::uint64_t>(name);
    if (!inode || !cookie || !network) return std::nullopt;
    return NamedUnixSocket{*inode, *cookie, *network};
}

bool names_unix_socket(std::string_view name) noexcept { return take_until(name, ' ') == unix_socket; }

SocketNames with(const SocketNames& names, std::string_view name) noexcept {
    if (name.empty()) return names;
    if (is_empty(names)) return name;
    SocketNames result = names;
    result.append(";");
    result.append(name);
    return result;
}

SocketNames without(const SocketNames& names, std::string_view name) noexcept {
    std::size_t left_out = 0;  // counted from 1
    std::size_t count = 0;
    for (std::string_view rest = names; !rest.empty();)
        if (++count; is_same(take_name(rest), name)) left_out = count;
    SocketNames result;
    count = 0;
    for (std::string_view rest = names; !rest.empty();)
        if (const std::string_view next = take_name(rest); ++count != left_out && next != name)
            result = with(result, next);
    return result.empty() ? SocketNames(no_socket) : result;
}

std::string_view take_name(std::string_view& names) noexcept { return take_until(names, ';'); }

}  // namespace holdfast
