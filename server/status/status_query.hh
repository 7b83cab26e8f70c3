// For the commands that ask the running server: the request to its status socket, and their errors.
#pragma once

#include <expected>
#include <string>
#include <string_view>

namespace holdfast::server {

// Returns the body of the answer to GET `what`; the error says why there is none, without the path. Blocks
// for some seconds at most.
[[nodiscard]] std::expected<std::string, std::string> ask_server(const std::string& path,
                                                                 std::string_view what);

// Exit statuses of these commands.
enum Exit : int { answered = 0, no_answer = 1, bad_usage = 2 };
// Prints the error of a command line on standard error. `command`: "status", "volumes". Returns bad_usage.
int usage_error(std::string_view command, std::string_view text);

}  // namespace holdfast::server
