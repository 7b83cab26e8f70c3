// Reads an authfile: the I/O part of access.hh.
#pragma once

#include <expected>
#include <string>
#include <vector>

#include "common/access/access.hh"
#include "common/text/ini.hh"

namespace holdfast::server {

// Returns the list that the file holds now. The error begins with file and line; a caller that gets an error
// must reject every client.
[[nodiscard]] std::expected<AccessList, std::string> read_access_file(const std::string& path);

// Parses `text`, the content of the file at `path`.
[[nodiscard]] std::expected<AccessList, std::string> parse_access_file(const std::string& path,
                                                                       std::string_view text);

// Returns every mistake in the file, with its place. Empty for an unreadable file: that is no mistake in its
// text.
[[nodiscard]] std::vector<Remark> mistakes_in_access_file(const std::string& path);

}  // namespace holdfast::server
