// `holdfast-server status`: asks a running server over its socket, and prints what it says.
#pragma once

namespace holdfast::server {

// The words after "status". Returns the exit status: 0 answered, 1 no server answers there, 2 the command
// line is wrong.
[[nodiscard]] int status_command(int count, char** words);

}  // namespace holdfast::server
