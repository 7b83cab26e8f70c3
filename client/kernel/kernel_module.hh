// Gets at the kernel's NBD interface, and loads its module where it is not there.
#pragma once

#include <expected>
#include <string>

#include "client/kernel/netlink.hh"

namespace holdfast::client {

// Runs modprobe when the netlink family is missing. The error is one line with the mend.
[[nodiscard]] std::expected<Netlink, std::string> open_netlink();

}  // namespace holdfast::client
