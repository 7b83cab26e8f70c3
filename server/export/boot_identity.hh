// Which boot of this machine it is. A client that sees another one when it reconnects knows that what it had
// written and not flushed may be lost, although nothing failed.
#pragma once

#include <optional>
#include <string_view>

#include "common/protocol/session_option.hh"

namespace holdfast::server {

// The kernel's boot_id. Where it cannot be read, a random one, with a warning in the log: then each start of
// the server looks like one of the machine, which errs on the safe side.
[[nodiscard]] nbd::Uuid boot_identity();

// "01234567-89ab-cdef-0123-456789abcdef", and white space behind it.
[[nodiscard]] std::optional<nbd::Uuid> parse_uuid(std::string_view text);

}  // namespace holdfast::server
