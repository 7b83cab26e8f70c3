// Stable disk ID, independent of path and host; with it a reconnecting client detects that an export's name
// now leads to another disk. A logical volume keeps its UUID when it moves to another server; for other disks
// the ID is the best that this machine knows.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "common/linux/result.hh"
#include "common/protocol/export_identity.hh"

namespace holdfast::server {

// Identifies an open file, also with O_PATH. The result passes is_identity().
[[nodiscard]] Result<std::string> disk_identity(int file);
// Identifies the file at the path without opening it. ENOENT if there is none.
[[nodiscard]] Result<std::string> disk_identity(const std::string& path);

// Identifies a block device by its entry below `sys` (/sys).
[[nodiscard]] std::string block_identity(dev_t device, const std::string& sys);

}  // namespace holdfast::server
