// Control groups: whose end kills the daemon.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace holdfast::client {

// Control group in which a device's daemon lives.
enum class ControlGroup : std::uint8_t {
    system,   // outside every service that may end
    service,  // in holdfast@.service, as its main process
};

// Moves this process from the control group of the service or login that started it, whose end would kill
// this process, to that of pid 1, where the initramfs's daemon is. Does nothing without systemd.
void leave_control_group() noexcept;

// Moves to the control group of another process if that is an instance of holdfast@.service; otherwise
// returns false.
[[nodiscard]] bool join_service_of(pid_t other);

}  // namespace holdfast::client
