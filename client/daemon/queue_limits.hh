// Limits of the device's request queue that the daemon maintains: the timer of requests, and the largest
// request, which must suit the server in use.
#pragma once

#include <chrono>

#include "client/daemon/kept_device.hh"
#include "client/daemon/kernel.hh"
#include "client/daemon/request_timer.hh"

namespace holdfast::client {

// Interval between checks of a busy link.
inline constexpr std::chrono::milliseconds busy_look{1000};

class QueueLimits {
public:
    // The arguments must outlive the object.
    QueueLimits(const Kernel& kernel, KeptDevice& device) noexcept : kernel_(kernel), device_(device) {}

    // Starts the process that writes the limits (request_timer.hh). Before the seal; all functions below may
    // be called after the seal.
    void open(ProcessTitle& title);
    // Descriptor of the pipe to that process; -1 without a process.
    [[nodiscard]] int descriptor() const noexcept { return timer_.descriptor(); }
    // Tells that process to follow the daemon into its SELinux domain or AppArmor profile.
    void follow_domain() noexcept { timer_.look(); }

    // Starts to measure the server's latency.
    void start() noexcept { totals_ = kernel_.totals(); }
    // Lowers the largest request (queue/max_sectors_kb), which any program may raise; udev and tuned do.
    // `empty`: no request larger than the kernel's present limit is still in flight.
    void check_size(bool empty) noexcept;
    // Lengthens the timer for a slow or silent server, which should not fill the kernel's log. `stalled`:
    // time without an answered request while requests are in flight. Call at each check of a link in use.
    void check_timer(std::chrono::milliseconds stalled, Clock::time_point now) noexcept;
    // Restores the largest request for the next user of the device.
    void restore() noexcept;

    // Timer that was set last; 0: none.
    [[nodiscard]] std::chrono::milliseconds timer() const noexcept { return timer_.current(); }

private:
    const Kernel& kernel_;
    KeptDevice& device_;
    RequestTimer timer_;
    SysfsDevice::Totals totals_;  // at the last check of the timer
    bool reported_ = false;       // the largest request exceeded the server's maximum at the last check
};

}  // namespace holdfast::client
