// The connections of which the kernel may still have one, and this daemon has no descriptor: those of daemons
// that have died. Unlike its own link, which it shuts down, such a one may have a sender that is stuck at a
// closed window, and DISCONNECT would wait for that with a lock that every nbd device needs.
#pragma once

#include <optional>

#include "client/kernel/socket_diagnostics.hh"

namespace holdfast::client {

class OlderLinks {
public:
    // Gets hold of the kernel's means to end them, where the record names any. Before the seal.
    void prepare(const SocketNames& recorded);
    void set(const SocketNames& names) noexcept { names_ = names; }
    [[nodiscard]] bool any() const noexcept { return !names_.empty() && names_ != no_socket; }
    // For the record, of a device whose own link is `own`; that may be empty.
    [[nodiscard]] SocketNames names_with(std::string_view own) const noexcept;
    // None is left: the kernel was seen to use a later one, or told that it let go of its socket.
    void forget() noexcept { names_ = no_socket; }

    // Error of prepare(); empty: the links can be ended.
    [[nodiscard]] std::optional<SysError> problem() const noexcept;
    // Ends them all. Needs CAP_NET_ADMIN.
    [[nodiscard]] Result<void> end() noexcept;

private:
    SocketNames names_ = no_socket;
    Result<SocketDiagnostics> diagnostics_ = std::unexpected(SysError{EINVAL, "no record of its socket"});
};

}  // namespace holdfast::client
