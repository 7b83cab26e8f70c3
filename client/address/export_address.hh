// Parses the address of an export (server and export name) from a word written by a person or received by
// DHCP.
//
// Two families of words name an export: NBD URIs (uri.hh), and the classic forms that Debian's nbd-client and
// dracut document for the kernel command line (classic_form.hh, dracut_form.hh). A single parser reads both,
// so that `attach` and `boot` agree on every word. The meaning of each classic form is defined once, in
// client/address/boot_forms.txt, which the man page shows and the unit test reads.
//
// Pure: no I/O, no name resolution. Every word may come from an attacker (DHCP): lengths and characters are
// checked, and messages quote a word only in printable form. Use only before the daemon's seal.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "client/address/named_export.hh"
#include "client/address/server_address.hh"

namespace holdfast::client {

// Parses a word of either family. The error states the fault and the fix, without a newline.
std::expected<NamedExport, std::string> parse_named_export(std::string_view word);

// Parses a word for `attach` and `list`: a URI or a classic form that names a server, without device, options
// or DHCP. HOST alone means the server's default export. The error includes the word.
std::expected<ServerAddress, std::string> parse_server_address(std::string_view word);

}  // namespace holdfast::client
