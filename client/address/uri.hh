// NBD URIs: nbd://HOST[:PORT]/NAME and nbd+unix:///NAME?socket=PATH. Pure; use only before the daemon's seal.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "client/address/server_address.hh"

namespace holdfast::client {

// True if the word begins with a scheme and "://".
bool looks_like_uri(std::string_view word);

// Parses an NBD URI only (nbd:// or nbd+unix://). The error includes the URI.
std::expected<ServerAddress, std::string> parse_uri(std::string_view uri);
// The same, without the URI in the error.
std::expected<ServerAddress, std::string> read_uri(std::string_view uri);

// Returns a URI that parse_uri() parses to the same address.
std::string to_uri(const ServerAddress& address);

}  // namespace holdfast::client
