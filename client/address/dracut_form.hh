// dracut's form of a word that names an export: nbd:SERVER:EXPORT[:FSTYPE[:ROOTFLAGS[:OPTIONS]]]; EXPORT is
// PORT, NAME or PORT/NAME. Pure; use only before the daemon's seal.
#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "client/address/named_export.hh"

namespace holdfast::client {

// Distinguishes dracut's form, which has a server and a colon: nbd:10809/root and nbd:/root are classic forms
// with a host called nbd.
bool is_dracut_form(std::string_view word);

// Parses a word for which is_dracut_form() is true. The error states the fault and the fix.
std::expected<NamedExport, std::string> parse_dracut_form(std::string_view word);

}  // namespace holdfast::client
