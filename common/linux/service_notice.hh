// Reports a program's state to the service manager (sd_notify(3)). Sends the datagram itself: libsystemd
// would be a dependency for twenty lines, and the protocol is guaranteed stable.
#pragma once

#include <chrono>
#include <string_view>

#include "common/linux/fd.hh"

namespace holdfast {

// Destination of the notices. Without a service manager, notices are discarded.
class ServiceManager {
public:
    // The manager that started this process (NOTIFY_SOCKET).
    [[nodiscard]] static ServiceManager of_this_process() noexcept;
    // The system's manager, for a process that it did not start.
    [[nodiscard]] static ServiceManager of_the_system() noexcept;
    // Sends "READY=1", "STOPPING=1", "STATUS=..."; several are separated by newlines. May be called after the
    // seal.
    void tell(std::string_view state) const noexcept;

private:
    explicit ServiceManager(std::string_view path) noexcept;
    Fd socket_;
};

// Interval for sending "WATCHDOG=1" (sd_watchdog_enabled(3)): half of the watchdog's timeout. Zero: no
// watchdog.
[[nodiscard]] std::chrono::microseconds watchdog_interval() noexcept;

// Sends a single state to the manager of this process.
void notify_service_manager(std::string_view state) noexcept;

}  // namespace holdfast
