// Lists a folder.
#pragma once

#include <fcntl.h>

#include <string>
#include <vector>

namespace holdfast {

// Returns the names in a folder without the hidden ones, sorted; empty if the folder is unreadable. `path` is
// relative to the open folder `directory`.
[[nodiscard]] std::vector<std::string> names_in(const std::string& path, int directory = AT_FDCWD);

}  // namespace holdfast
