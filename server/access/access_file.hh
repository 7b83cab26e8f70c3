// Reads an authfile: the thin edge of access.hh.
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "common/text/ini.hh"
#include "server/access/access.hh"

namespace holdfast::server {

// The list in the file as it is now, or why there is none, beginning with the file and line. Whoever gets an
// error lets nobody in.
[[nodiscard]] std::expected<AccessList, std::string> read_access_file(const std::string& path);

// The list in `text`, which is that of the file.
[[nodiscard]] std::expected<AccessList, std::string> parse_access_file(const std::string& path,
                                                                       std::string_view text);

// Every mistake in the file as it is now, at its place. None where it cannot be read: that is no mistake in
// it.
[[nodiscard]] std::vector<Remark> mistakes_in_access_file(const std::string& path);

}  // namespace holdfast::server
