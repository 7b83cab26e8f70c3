// Runs lvs(8) for the commands that list volumes.
#pragma once

#include <expected>
#include <string>

namespace holdfast::server {

struct LvsFault {
    bool not_for_us = false;  // without root's rights, or without LVM
    std::string text;         // last line of lvs
};

// Returns what lvs prints, to be read by parse_lvs().
[[nodiscard]] std::expected<std::string, LvsFault> output_of_lvs();

}  // namespace holdfast::server
