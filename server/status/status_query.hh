// Request of a command to the status socket of the running server.
#pragma once

#include <expected>
#include <string>
#include <string_view>

namespace holdfast::server {

// Returns the body of the answer to GET `what`; the error says why there is none, without the path. Blocks
// for some seconds at most.
[[nodiscard]] std::expected<std::string, std::string> ask_server(const std::string& path,
                                                                 std::string_view what);

}  // namespace holdfast::server
