// Splits the kernel command line into words, as the kernel does. Pure; use only before the daemon's seal.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace holdfast::client {

// A word of the command line: "..." keeps blanks together; words after `--` belong to init.
struct KernelWord {
    std::string key;
    std::string value;
    bool has_value = false;

    bool operator==(const KernelWord&) const = default;
};
std::vector<KernelWord> split_command_line(std::string_view command_line);

}  // namespace holdfast::client
