// The client's configuration file, /etc/holdfast/client.conf: values for everything that the command line
// leaves open. Described in holdfast-client.conf(5). Pure: text in, a Config or its errors out;
// config_files.hh reads the file. Use only before the daemon's seal.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/address/server_address.hh"
#include "client/config/choices.hh"
#include "client/config/network_choices.hh"

namespace holdfast::client {

// A section [nbdN].
struct DeviceSection {
    std::uint32_t index = 0;
    std::vector<ServerAddress> servers;  // in order of preference; empty: not in the section
    Choices choices;
};

struct Config {
    Choices defaults;        // [defaults]
    NetworkChoices network;  // [network]
    std::vector<DeviceSection> devices;

    // Returns the file's choices for a device: its section's choices, then the defaults. An empty index is a
    // device not yet chosen by the kernel: only the defaults apply.
    [[nodiscard]] Choices choices_for(std::optional<std::uint32_t> index) const;
    [[nodiscard]] std::vector<ServerAddress> servers_of(std::uint32_t index) const;
};

// Parses the file. Each error is a line "FILE:LINE: fault, and the fix". A file with any error yields no
// Config: a partly applied configuration is never wanted.
[[nodiscard]] std::expected<Config, std::vector<std::string>> read_config(std::string_view file,
                                                                          std::string_view text);

}  // namespace holdfast::client
