// Names a connection by the identifiers of the kernel's socket diagnostics (socket_diagnostics.hh), so that a
// connection held only by the kernel, of a device whose daemon has died, can be closed. Pure except
// name_of_socket(). All may be called after the seal.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "common/text/fixed_text.hh"

namespace holdfast {

// Cookie, local and remote address, and the cookie of the network namespace if the kernel reports it; text
// for the device's record. Of a UNIX socket: "unix", inode, cookie, and the cookie of the network namespace;
// such a socket cannot be closed by name, but is known to exist or not. Older versions wrote only "unix".
using SocketName = FixedText<160>;

// Sockets that a device may hold, separated by ';'. Empty: unknown. no_socket: the daemon has shut down every
// socket. A name that does not fit is cut, and is then unreadable.
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
    std::optional<std::uint64_t> network;  // cookie of the network namespace
};

struct NamedUnixSocket {
    std::uint32_t inode = 0;
    std::uint64_t cookie = 0;
    std::uint64_t network = 0;
};

// Empty if the socket is not a connected TCP or UNIX socket.
[[nodiscard]] SocketName name_of_socket(int socket) noexcept;
// Returns nullopt if the text does not name a TCP socket.
[[nodiscard]] std::optional<NamedSocket> read_socket_name(std::string_view name) noexcept;
// Returns nullopt if the text does not name a UNIX socket completely.
[[nodiscard]] std::optional<NamedUnixSocket> read_unix_socket_name(std::string_view name) noexcept;
// True for every name of a UNIX socket, also of older versions.
[[nodiscard]] bool names_unix_socket(std::string_view name) noexcept;
// Returns the cookie of the socket's network namespace; empty if the kernel does not report it (before
// Linux 5.14).
[[nodiscard]] std::optional<std::uint64_t> network_of_socket(int socket) noexcept;

// Return the list with `name` appended, or with it removed: every equal name, and one in a form of older
// versions if that is the last of both. no_socket if the list is then empty.
[[nodiscard]] SocketNames with(const SocketNames& names, std::string_view name) noexcept;
[[nodiscard]] SocketNames without(const SocketNames& names, std::string_view name) noexcept;
// Removes and returns the first name of a list.
[[nodiscard]] std::string_view take_name(std::string_view& names) noexcept;

}  // namespace holdfast
