// Request of the command `attach`: command line and files, merged.
#pragma once

#include <expected>
#include <optional>
#include <string>

#include "client/attach/attach.hh"
#include "client/boot/boot_files.hh"
#include "client/command/options.hh"
#include "client/config/config.hh"
#include "client/config/device_table.hh"

namespace holdfast::client {

// `line` is the device's line in the table, if the command line names no servers; `files` tell whether this
// is the initramfs. Fails if no source names a server.
[[nodiscard]] std::expected<AttachRequest, std::string> request_for(const AttachOptions& options,
                                                                    const std::optional<DeviceLine>& line,
                                                                    const Config& config,
                                                                    const BootFiles& files);

}  // namespace holdfast::client
