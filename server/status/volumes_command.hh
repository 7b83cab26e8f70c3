// Command `holdfast-server volumes`.
#pragma once

namespace holdfast::server {

// Lists exports, disks and clients. `words[0]` is "volumes". Returns the exit status.
[[nodiscard]] int volumes_command(int count, char** words);

}  // namespace holdfast::server
