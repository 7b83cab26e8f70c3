// Classic forms of a word that names an export: SERVER,PORT-or-NAME[,...] and SERVER[:PORT]/NAME. Their
// meaning is in boot_forms.txt. Pure; use only before the daemon's seal.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "client/address/named_export.hh"

namespace holdfast::client {

// Parse a word without control characters. The error states the fault and the fix.
// SERVER,PORT-or-NAME[,...]; `word` has a comma.
std::expected<NamedExport, std::string> parse_comma_form(std::string_view word);
// SERVER[:PORT]/NAME, SERVER:/NAME, SERVER.
std::expected<NamedExport, std::string> parse_slash_form(std::string_view word);

// For dracut_form.cc: HOST, HOST:PORT, [V6], [V6]:PORT, empty or `dhcp`, as an export without a name.
std::expected<NamedExport, std::string> parse_server_alone(std::string_view text);
// For dracut_form.cc. Takes the word after the server: all digits are a port, anything else is a name.
// Returns whether the word after this one may still be the name.
std::expected<bool, std::string> take_port_or_name(std::string_view word, NamedExport& named);

}  // namespace holdfast::client
