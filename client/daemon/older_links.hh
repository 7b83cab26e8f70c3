// Connections of daemons that have died: the kernel may still use such a connection, but this daemon has no
// descriptor of it. The daemon shuts its own link down before DISCONNECT; an older link may still have a
// sender that is stuck at a closed window, and DISCONNECT would wait for that sender, holding a lock that
// every nbd device needs.
#pragma once

#include <optional>

#include "client/kernel/socket_diagnostics.hh"

namespace holdfast::client {

class OlderLinks {
public:
    // Opens the kernel's socket diagnostics, with which older links are ended, if the record names any.
    // Before the seal.
    void prepare(const SocketNames& recorded);
    void set(const SocketNames& names) noexcept { names_ = names; }
    [[nodiscard]] bool any() const noexcept { return !names_.empty() && names_ != no_socket; }
    // Names for the record of a device whose own link is `own`, which may be empty.
    [[nodiscard]] SocketNames names_with(std::string_view own) const noexcept;
    // True if every older link is known to be over, so that no sender is stuck in it: the kernel has released
    // its socket, or, of TCP, its connection was reset.
    [[nodiscard]] bool have_vanished() const noexcept;
    // No older link is left: the kernel was seen to use a later link, or has reported that it released its
    // socket.
    void forget() noexcept { names_ = no_socket; }

    // Error of prepare(); empty: the links can be ended.
    [[nodiscard]] std::optional<SysError> problem() const noexcept;
    // Ends all older links. Needs CAP_NET_ADMIN.
    [[nodiscard]] Result<void> end() noexcept;

private:
    SocketNames names_ = no_socket;
    Result<SocketDiagnostics> diagnostics_ = std::unexpected(SysError{EINVAL, "no record of the socket"});
};

}  // namespace holdfast::client
