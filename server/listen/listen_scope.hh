// Exports served by a listener.
#pragma once

#include <string>

namespace holdfast::server {

struct ListenScope {
    bool every_export = false;
    std::string default_export;  // empty: none

    bool operator==(const ListenScope&) const = default;
};

}  // namespace holdfast::server
