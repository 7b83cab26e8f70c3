// Tells the service manager how the server is (sd_notify(3)). A datagram of our own: libsystemd would be a
// dependency for twenty lines, and the protocol is promised to be stable.
#pragma once

#include <string_view>

namespace holdfast::server {

// "READY=1", "STOPPING=1", "STATUS=..."; several are separated by newlines. Does nothing without a service
// manager.
void notify_service_manager(std::string_view state) noexcept;

}  // namespace holdfast::server
