// Aborts TCP connections that no process has a descriptor of, and finds out whether connections still exist,
// by the kernel's socket diagnostics: sock_diag(7).
#pragma once

#include <netinet/in.h>

#include <chrono>
#include <cstdint>
#include <string_view>

#include "common/linux/fd.hh"
#include "common/linux/result.hh"
#include "common/linux/socket_name.hh"

namespace holdfast::client {

// Questions to the kernel, each of which may load a module from the disk that holds it. Other values than the
// default are for tests.
struct DiagnosticsQuestions {
    Result<void> (*tcp)(int netlink) noexcept;
    Result<void> (*unix_sockets)(int netlink) noexcept;
};
// ENOENT: the kernel does not support sockets of that protocol, and has no module to load.
[[nodiscard]] Result<void> ask_for_inet_sockets(int netlink, int protocol) noexcept;
[[nodiscard]] Result<void> ask_for_tcp_sockets(int netlink) noexcept;
[[nodiscard]] Result<void> ask_for_unix_sockets(int netlink) noexcept;

class SocketDiagnostics {
public:
    // Opens socket diagnostics and ensures that the kernel supports TCP sockets, so that a later "no such
    // socket" is reliable. The kernel may load a module for that; a child process waits for the disk that
    // holds the module. UNIX sockets are looked up later only if `names` has one with its numbers, and the
    // kernel supports them. Use only before the seal.
    //   EPROTONOSUPPORT  the kernel does not support TCP sockets, and has no module to load (tcp_diag)
    //   ETIMEDOUT        no answer about TCP sockets after `patience`
    [[nodiscard]] static Result<SocketDiagnostics> open(std::chrono::milliseconds patience,
                                                        const SocketNames& names = {},
                                                        const DiagnosticsQuestions& questions = {
                                                            ask_for_tcp_sockets, ask_for_unix_sockets});

    // Aborts the connection: its users wake with an error, its queues are discarded, and the peer gets a
    // reset. Succeeds for a socket that no longer exists, or that its daemon had shut down. May be called
    // after the seal.
    //   EINVAL        invalid name, or socket unknown
    //   EAFNOSUPPORT  a UNIX socket: the kernel cannot abort it
    //   EXDEV         the socket is in another network namespace than this process
    //   EOPNOTSUPP    the kernel was built without CONFIG_INET_DIAG_DESTROY
    //   EPERM         CAP_NET_ADMIN is needed
    [[nodiscard]] Result<void> destroy(std::string_view name) const noexcept;
    // Returns true if the connection is over: the kernel has released the socket, or, of TCP, the connection
    // was reset, though the kernel may hold the socket. False also if that is unknown (name of an older
    // version, another network namespace, for a UNIX socket a kernel without the module unix_diag). May be
    // called after the seal.
    [[nodiscard]] bool has_vanished(std::string_view name) const noexcept;
    // Aborts every connection of the list; returns the first error.
    [[nodiscard]] Result<void> destroy_all(const SocketNames& names) const noexcept;

private:
    SocketDiagnostics(Fd netlink, bool finds_unix) : netlink_(std::move(netlink)), finds_unix_(finds_unix) {}
    Fd netlink_;
    bool finds_unix_;  // the kernel supports UNIX sockets here: no question loads a module
};

// Explains an error of destroy() or open(), with a remedy, as the reason for not disconnecting the device
// now. Allocates nothing.
[[nodiscard]] LineText reason_not_to_disconnect(const SysError& error, std::uint32_t index);

}  // namespace holdfast::client
