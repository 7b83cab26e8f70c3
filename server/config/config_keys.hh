// Tables of keys: every key that nbd-server(5) documents and our own, each with its effect on the
// configuration.
#pragma once

#include <span>
#include <string_view>

#include "server/config/config.hh"
#include "server/config/config_value.hh"

namespace holdfast::server {

struct GenericKey {
    std::string_view name;
    void (*apply)(ConfigReader::Generic&, ConfigValue&);
};

struct ExportKey {
    std::string_view name;
    void (*apply)(ExportConfig&, ConfigValue&);
};

[[nodiscard]] std::span<const GenericKey> generic_keys();
[[nodiscard]] std::span<const ExportKey> export_keys();

}  // namespace holdfast::server
