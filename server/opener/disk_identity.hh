// Which disk it is, in a word that stays the same wherever the disk goes and whatever it is called: by it a
// client sees, when it reconnects, that an export's name leads to another disk by now. A logical volume
// brings its own UUID along to another server; for everything else it is the best that this machine knows.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "common/linux/result.hh"
#include "common/protocol/export_identity.hh"

namespace holdfast::server {

// Of what is open, also with O_PATH. What it gives is an is_identity().
[[nodiscard]] Result<std::string> disk_identity(int file);
// Of what is at the path; it is not opened. ENOENT where there is nothing.
[[nodiscard]] Result<std::string> disk_identity(const std::string& path);

// Of a block device, by what the kernel says of it below `sys` (/sys).
[[nodiscard]] std::string block_identity(dev_t device, const std::string& sys);

}  // namespace holdfast::server
