// Import of nbdtab(5). Pure. Use only before the daemon's seal.
#pragma once

#include <string_view>

#include "client/config/nbd_client_device.hh"

namespace holdfast::client {

// Adds the devices of the text to the import. `file` is for remarks.
void import_nbdtab(Import& import, std::string_view file, std::string_view text);

}  // namespace holdfast::client
