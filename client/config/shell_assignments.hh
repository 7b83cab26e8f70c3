// Assignments of a shell script such as /etc/nbd-client, read without running the script: NAME=VALUE and
// NAME[N]=VALUE with quotes, and comments. Everything else of the shell's language is an error with its line.
// Pure; use only before the daemon's seal.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/text/ini.hh"

namespace holdfast::client {

inline constexpr unsigned highest_array_index = 999;
inline constexpr std::size_t longest_script_line = 4096;  // bytes

struct Assignment {
    std::string name;
    std::optional<unsigned> index;  // array element, at most highest_array_index
    std::string value;              // without quotes and backslashes
    FilePosition position;
    bool refused = false;  // the value is not understood, as `errors` says: it is empty
};

struct Assignments {
    std::vector<Assignment> all;  // in the order of the script; the shell uses the last of equal names
    std::vector<Remark> errors;  // lines that are not understood, with their assignments up to there in `all`
};

[[nodiscard]] Assignments read_assignments(std::string_view file, std::string_view text);

}  // namespace holdfast::client
