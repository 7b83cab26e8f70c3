// The folder of sockets, records and public files of the attached devices.
#pragma once

#include "common/linux/result.hh"

namespace holdfast::client {

inline constexpr const char* run_directory = "/run/holdfast";

// Creates the folder, readable by everybody for the public files; all other files in it are accessible by
// root only.
[[nodiscard]] Result<void> make_run_directory();

}  // namespace holdfast::client
