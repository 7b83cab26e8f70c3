// ID of this machine's current boot. A client that finds another ID when it reconnects knows that its written
// but unflushed data may be lost, although nothing failed.
#pragma once

#include <optional>
#include <string_view>

#include "common/protocol/session_option.hh"

namespace holdfast::server {

// Returns the kernel's boot_id. If unreadable, returns a random ID and logs a warning: each start of the
// server then looks like a reboot of the machine, which is the safe assumption.
[[nodiscard]] nbd::Uuid boot_identity();

// Parses "01234567-89ab-cdef-0123-456789abcdef", optionally followed by white space.
[[nodiscard]] std::optional<nbd::Uuid> parse_uuid(std::string_view text);

}  // namespace holdfast::server
