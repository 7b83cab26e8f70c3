// A connection by the name that the kernel's socket diagnostics know it by (socket_diagnostics.hh), so that
// one that only the kernel has left can be ended: that of a device whose daemon has died. Pure but for
// name_of_socket(). All may be called after the seal.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "common/text/fixed_text.hh"

namespace holdfast {

// Cookie, local and remote address, and the cookie of the network namespace where the kernel tells it; text
// for the device's record. "unix": a UNIX socket, which has no such name.
using SocketName = FixedText<160>;

// Sockets of which a device may have one, separated by ';'. Empty: nothing is known. no_socket: each that it
// had was shut down by its daemon. One name more than fits is cut, and then cannot be read.
using SocketNames = FixedText<480>;
inline constexpr std::string_view unix_socket = "unix";
inline constexpr std::string_view no_socket = "none";

struct SocketAddress {
    sockaddr_storage bytes{};
    socklen_t length = sizeof bytes;
};
struct NamedSocket {
    std::uint64_t cookie = 0;
    SocketAddress local;
    SocketAddress remote;
    std::optional<std::uint64_t> network;  // of the namespace
};

// Empty for what is no connected socket of TCP or UNIX.
[[nodiscard]] SocketName name_of_socket(int socket) noexcept;
// Empty for what is no name of a TCP socket.
[[nodiscard]] std::optional<NamedSocket> read_socket_name(std::string_view name) noexcept;
// The cookie of the network namespace that a socket is in; empty where the kernel does not tell it (before
// Linux 5.14).
[[nodiscard]] std::optional<std::uint64_t> network_of_socket(int socket) noexcept;

// The list with a further name, and without the last that is `name`, which an older version wrote without the
// network: no_socket where none is left.
[[nodiscard]] SocketNames with(const SocketNames& names, std::string_view name) noexcept;
[[nodiscard]] SocketNames without(const SocketNames& names, std::string_view name) noexcept;
// Takes the first name off a list.
[[nodiscard]] std::string_view take_name(std::string_view& names) noexcept;

}  // namespace holdfast
