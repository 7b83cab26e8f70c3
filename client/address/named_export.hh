// A parsed word that names an export, in any of the forms. Plain values.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "client/address/nbd_device.hh"
#include "client/address/server_address.hh"

namespace holdfast::client {

// Parsed word, before checking whether its user (attach, boot) supports every field.
struct NamedExport {
    ServerAddress address;            // address.host is empty when server_from_dhcp
    bool all_from_dhcp = false;       // the word is empty or `dhcp`: the DHCP root-path has everything
    bool server_from_dhcp = false;    // DHCP supplies the server; the word supplies the rest
    std::optional<NbdDevice> device;  // classic forms: `,nbd0`
    std::vector<std::string>
        options;            // classic forms: fields after the device; dracut's nbdopts. Not yet checked
    std::string fstype;     // dracut form
    std::string rootflags;  // dracut form
};

}  // namespace holdfast::client
