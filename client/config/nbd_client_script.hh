// Import of /etc/nbd-client, a script of assignments. Pure. Use only before the daemon's seal.
#pragma once

#include <string_view>

#include "client/config/nbd_client_device.hh"

namespace holdfast::client {

// Adds the devices of the text to the import. `file` is for remarks.
void import_nbd_client_script(Import& import, std::string_view file, std::string_view text);

}  // namespace holdfast::client
