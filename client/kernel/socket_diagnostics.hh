// Ends TCP connections of which nobody has a descriptor, by the kernel's socket diagnostics: sock_diag(7).
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
    // EPROTONOSUPPORT: the kernel has none for TCP, and no module to load for it (tcp_diag). Only after this
    // does "no such socket" mean that. The kernel may load the module meanwhile, from the disk that it
    // is on. `protocol`: another one is for tests.
    [[nodiscard]] static Result<SocketDiagnostics> open(int protocol = IPPROTO_TCP);
    // The same for who must not wait for that disk: ETIMEDOUT after `patience`. Before the seal.
    [[nodiscard]] static Result<SocketDiagnostics> open_in_time(std::chrono::milliseconds patience);

    // Aborts the connection: whoever sends or receives on it wakes with an error, its queues are thrown away,
    // and the peer gets a reset. A socket that is gone already, or that its daemon had shut down, is a
    // success. May be called after the seal.
    //   EINVAL        this is no name, or nothing is known
    //   EAFNOSUPPORT  a UNIX socket: the kernel has no such command for it
    //   EXDEV         a socket in another network namespace than this process's
    //   EOPNOTSUPP    the kernel was built without CONFIG_INET_DIAG_DESTROY
    //   EPERM         CAP_NET_ADMIN is needed
    [[nodiscard]] Result<void> destroy(std::string_view name) const noexcept;
    // Each of the list; the error is the first one.
    [[nodiscard]] Result<void> destroy_all(const SocketNames& names) const noexcept;

private:
    explicit SocketDiagnostics(Fd netlink) : netlink_(std::move(netlink)) {}
    Fd netlink_;
};

// Words for an error of destroy() or open(), with the way out: the reason why the device is not disconnected
// now. Allocates nothing.
[[nodiscard]] LineText reason_not_to_disconnect(const SysError& error, std::uint32_t index);

}  // namespace holdfast::client
