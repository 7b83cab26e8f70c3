// The address of an export: a server and an export name. Plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace holdfast::client {

inline constexpr std::uint16_t default_nbd_port = 10809;
inline constexpr std::size_t longest_export_name = 4096;  // "Values", NBD protocol
inline constexpr std::size_t longest_socket_path = 107;   // sun_path without its NUL
inline constexpr std::size_t most_servers = 16;           // a longer list of a disk's servers is an error

struct ServerAddress {
    enum class Kind { tcp, unix_socket };

    Kind kind = Kind::tcp;
    std::string host;  // tcp: host name or address; IPv6 without brackets, zone as %IFACE
    std::uint16_t port = default_nbd_port;  // tcp
    bool port_given = false;                // tcp: the word includes the port
    std::string socket_path;                // unix_socket: absolute
    std::string export_name;                // UTF-8; empty: the server's default export

    bool operator==(const ServerAddress&) const = default;
};

}  // namespace holdfast::client
