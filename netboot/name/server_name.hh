// Names of NBD servers, HOST[:PORT] or [IPV6][:PORT], for comparisons. Pure.
#pragma once

#include <string>
#include <string_view>

namespace holdfast::netboot {

// ":10810", or empty: the text after the host.
[[nodiscard]] std::string_view port_in(std::string_view server);
// The same text for each spelling of a server: in lower case, an IPv6 address without its short forms, the
// port as a number, and without the port that is meant anyway.
[[nodiscard]] std::string plain_server(std::string_view server);

}  // namespace holdfast::netboot
