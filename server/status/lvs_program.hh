// Runs lvs(8) for the commands that list volumes.
#pragma once

#include <string>

namespace holdfast::server {

// Returns what lvs prints, to be read by parse_lvs(); empty without root's rights, or without LVM.
[[nodiscard]] std::string output_of_lvs();

}  // namespace holdfast::server
