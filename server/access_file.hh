// Reads an authfile: the thin edge of access.hh.
#pragma once

#include <expected>
#include <string>

#include "server/access.hh"

namespace holdfast::server {

// The list in the file as it is now, or why there is none, beginning with the file and line. Whoever gets an
// error lets nobody in.
[[nodiscard]] std::expected<AccessList, std::string> read_access_file(const std::string& path);

}  // namespace holdfast::server
