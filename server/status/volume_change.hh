// Commands `holdfast-server volumes reset`, `volumes remove` and `volumes promote`: ask holdfast-provision
// about a host's volume.
#pragma once

namespace holdfast::server {

// `words[0]` is "reset", "remove" or "promote". Says what would be done, and does it with --yes. Returns the
// exit status.
[[nodiscard]] int volume_change_command(int count, char** words);

}  // namespace holdfast::server
