// The configuration file of the client, /etc/holdfast/client.conf: what applies where the command line says
// nothing. holdfast-client.conf(5) describes it. Pure: text in, a Config or its mistakes out; the file itself
// is read by config_file.hh. For before the daemon's seal.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/address/export_address.hh"
#include "client/config/choices.hh"
#include "client/config/network_choices.hh"

namespace holdfast::client {

// A section [nbdN].
struct DeviceSection {
    std::uint32_t index = 0;
    std::vector<ServerAddress> servers;  // in order of preference; empty: the section names none
    Choices choices;
};

struct Config {
    Choices defaults;        // [defaults]
    NetworkChoices network;  // [network]
    std::vector<DeviceSection> devices;

    // What the file chooses for a device: its section's choices over the defaults. An empty index is a device
    // that the kernel is yet to pick: it has the defaults alone.
    [[nodiscard]] Choices choices_for(std::optional<std::uint32_t> index) const;
    [[nodiscard]] std::vector<ServerAddress> servers_of(std::uint32_t index) const;
};

// Every mistake is a line "FILE:LINE: what is wrong, and the mend". A file with one mistake is no Config at
// all: half of what was wanted is nobody's wish.
[[nodiscard]] std::expected<Config, std::vector<std::string>> read_config(std::string_view file,
                                                                          std::string_view text);

}  // namespace holdfast::client
