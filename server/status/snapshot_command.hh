// Commands `holdfast-server snapshot`, `snapshots` and `restore`: ask holdfast-provision about the snapshots
// of an export's volume, and list them.
#pragma once

namespace holdfast::server {

// `words[0]` is the command. Return the exit status.
[[nodiscard]] int snapshot_command(int count, char** words);
[[nodiscard]] int restore_command(int count, char** words);
[[nodiscard]] int snapshots_command(int count, char** words);

}  // namespace holdfast::server
