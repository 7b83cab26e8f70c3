// `holdfast-server status`: asks a running server over its socket, and prints the answer.
#pragma once

namespace holdfast::server {

// `words` are the arguments after "status". Returns the exit status: 0 answered, 1 no server answers there, 2
// invalid command line.
[[nodiscard]] int status_command(int count, char** words);

}  // namespace holdfast::server
