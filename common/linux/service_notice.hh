// Tells the service manager how a program of ours is (sd_notify(3)). A datagram of our own: libsystemd would
// be a dependency for twenty lines, and the protocol is promised to be stable.
#pragma once

#include <chrono>
#include <string_view>

#include "common/linux/fd.hh"

namespace holdfast {

// Where the notices go. Without a service manager, nowhere.
class ServiceManager {
public:
    // The one that started this process (NOTIFY_SOCKET).
    [[nodiscard]] static ServiceManager of_this_process() noexcept;
    // The system's, for a process that somebody else started.
    [[nodiscard]] static ServiceManager of_the_system() noexcept;
    // "READY=1", "STOPPING=1", "STATUS=..."; several are separated by newlines. May be called after the seal.
    void tell(std::string_view state) const noexcept;

private:
    explicit ServiceManager(std::string_view path) noexcept;
    Fd socket_;
};

// How often it wants to hear "WATCHDOG=1" of this process (sd_watchdog_enabled(3)): half of the time after
// which it acts. Zero: not at all.
[[nodiscard]] std::chrono::microseconds watchdog_interval() noexcept;

// The first of these, told one thing.
void notify_service_manager(std::string_view state) noexcept;

}  // namespace holdfast
