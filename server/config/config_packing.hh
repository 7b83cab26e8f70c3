// Texts and remarks of the configuration on their way between processes. Pure: values to bytes, and back.
#pragma once

#include <optional>
#include <vector>

#include "server/config/config_file.hh"
#include "server/process/packing.hh"

namespace holdfast::server {

void pack(Packer& to, const ConfigTexts& texts);
void pack(Packer& to, const std::vector<Remark>& remarks);

// nullopt where the bytes are not exactly one value. Both take all that is left.
[[nodiscard]] std::optional<ConfigTexts> unpack_texts(Unpacker& from);
[[nodiscard]] std::optional<std::vector<Remark>> unpack_remarks(Unpacker& from);

}  // namespace holdfast::server
