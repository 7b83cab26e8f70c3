// Completes a word of the kernel command line with the server or the export from DHCP. Pure; use only before
// the daemon's seal.
#pragma once

#include <expected>
#include <vector>

#include "client/address/named_export.hh"
#include "client/boot/boot_error.hh"
#include "client/boot/boot_request.hh"
#include "client/boot/ipconfig.hh"

namespace holdfast::client {

// Returns the word's export, with the parts that the word leaves to DHCP. `answers`: in order of preference.
[[nodiscard]] std::expected<NamedExport, BootError> completed_by_dhcp(
    const BootWord& word, const std::vector<NetworkAnswer>& answers);

}  // namespace holdfast::client
