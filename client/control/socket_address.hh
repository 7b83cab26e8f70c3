// Address of a control socket.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <string>
#include <string_view>

#include "client/control/run_directory.hh"

namespace holdfast::client {

// `name`: of a file in run_directory.
[[nodiscard]] inline sockaddr_un address_of(std::string_view name) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string path = std::string(run_directory) + "/" + std::string(name);
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    return address;
}

}  // namespace holdfast::client
