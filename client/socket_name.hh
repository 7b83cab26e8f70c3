// A TCP socket by the name that the kernel's socket diagnostics know it by, so that one that only the kernel
// has left can be ended: that of a device whose daemon has died.
#pragma once

#include <string_view>

#include "common/linux/fixed_text.hh"
#include "common/linux/result.hh"

namespace holdfast::client {

// Cookie, local and remote address; text for the device's record.
using SocketName = FixedText<160>;

// Empty for what is no connected TCP socket. May be called after the seal.
[[nodiscard]] SocketName name_of_socket(int socket) noexcept;

// Aborts the connection: whoever sends or receives on it wakes with an error, its queues are thrown away, and
// the peer gets a reset. A socket that is gone already is a success. EINVAL: this is no name. EOPNOTSUPP: the
// kernel was built without CONFIG_INET_DIAG_DESTROY. EPERM: CAP_NET_ADMIN is needed.
[[nodiscard]] Result<void> destroy_socket(std::string_view name);

}  // namespace holdfast::client
