// Runs lvm2's own programs, by their absolute paths, without a shell, in a fixed environment, for a limited
// time and with limited output.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "provision/lvm_output.hh"

namespace holdfast::provision {

template <class T = void>
using Outcome = std::expected<T, std::string>;

class Lvm {
public:
    // Volumes of the group.
    [[nodiscard]] Outcome<std::vector<LvmVolume>> volumes(const std::string& group) const;
    // Runs the program, "lvcreate" for example. The error is its last line, with its name.
    [[nodiscard]] Outcome<std::string> run(const std::string& program,
                                           const std::vector<std::string>& words) const;
};

}  // namespace holdfast::provision
