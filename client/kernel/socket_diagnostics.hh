// Aborts TCP connections that no process has a descriptor of, by the kernel's socket diagnostics:
// sock_diag(7).
#pragma once

#include <netinet/in.h>

#include <chrono>
#include <cstdint>
#include <string_view>

#include "common/linux/fd.hh"
#include "common/linux/result.hh"
#include "common/linux/socket_name.hh"

namespace holdfast::client {

class SocketDiagnostics {
public:
    // Opens socket diagnostics and ensures that the kernel supports TCP sockets, so that a later "no such
    // socket" is reliable. EPROTONOSUPPORT: the kernel does not support them, and has no module to load
    // (tcp_diag). The kernel may load that module here, from the disk that holds it. `protocol`: other values
    // are for tests.
    [[nodiscard]] static Result<SocketDiagnostics> open(int protocol = IPPROTO_TCP);
    // Same as open(), for callers that must not wait for that disk: ETIMEDOUT after `patience`. Use only
    // before the seal.
    [[nodiscard]] static Result<SocketDiagnostics> open_in_time(std::chrono::milliseconds patience);

    // Aborts the connection: its users wake with an error, its queues are discarded, and the peer gets a
    // reset. Succeeds for a socket that no longer exists, or that its daemon had shut down. May be called
    // after the seal.
    //   EINVAL        invalid name, or socket unknown
    //   EAFNOSUPPORT  a UNIX socket: the kernel cannot abort it
    //   EXDEV         the socket is in another network namespace than this process
    //   EOPNOTSUPP    the kernel was built without CONFIG_INET_DIAG_DESTROY
    //   EPERM         CAP_NET_ADMIN is needed
    [[nodiscard]] Result<void> destroy(std::string_view name) const noexcept;
    // Aborts every connection of the list; returns the first error.
    [[nodiscard]] Result<void> destroy_all(const SocketNames& names) const noexcept;

private:
    explicit SocketDiagnostics(Fd netlink) : netlink_(std::move(netlink)) {}
    Fd netlink_;
};

// Explains an error of destroy() or open(), with a remedy, as the reason for not disconnecting the device
// now. Allocates nothing.
[[nodiscard]] LineText reason_not_to_disconnect(const SysError& error, std::uint32_t index);

}  // namespace holdfast::client
