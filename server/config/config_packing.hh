// Packs texts and remarks of the configuration for transfer between processes. Pure: values to bytes, and
// back.
#pragma once

#include <optional>
#include <vector>

#include "server/config/config_file.hh"
#include "server/process/packing.hh"

namespace holdfast::server {

void pack(Packer& to, const ConfigTexts& texts);
void pack(Packer& to, const std::vector<Remark>& remarks);

// Returns nullopt unless the bytes are exactly one value. Both functions consume all remaining bytes.
[[nodiscard]] std::optional<ConfigTexts> unpack_texts(Unpacker& from);
[[nodiscard]] std::optional<std::vector<Remark>> unpack_remarks(Unpacker& from);

}  // namespace holdfast::server
