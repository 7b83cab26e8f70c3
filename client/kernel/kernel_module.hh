// Opens the kernel's NBD interface, loading the kernel module if necessary.
#pragma once

#include <expected>
#include <string>

#include "client/kernel/netlink.hh"

namespace holdfast::client {

// Runs modprobe if the netlink family is missing. The error is a single line with the fix.
[[nodiscard]] std::expected<Netlink, std::string> open_netlink();

}  // namespace holdfast::client
