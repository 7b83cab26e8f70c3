// The kernel as the daemon of one device needs it: requests to the nbd driver, the device's attributes, the
// clock. An interface, so that unit tests can replace the kernel. All functions may be called after the seal.
#pragma once

#include <cstdint>

#include "client/kernel/netlink.hh"
#include "client/kernel/sysfs.hh"
#include "client/link/link.hh"
#include "common/linux/result.hh"

namespace holdfast::client {

class Kernel {
public:
    // Requests to the driver: client/kernel/netlink.hh and forced_disconnect.hh say what they do. They may
    // block: read the clock again afterwards.
    [[nodiscard]] virtual Result<void> reconfigure(const DeviceChange& change) noexcept = 0;
    [[nodiscard]] virtual Result<void> disconnect() noexcept = 0;
    [[nodiscard]] virtual Result<void> release_stuck() noexcept = 0;
    [[nodiscard]] virtual Netlink::LinkDead take_link_dead() noexcept = 0;

    // Drops this process's right to end connections of which it has no descriptor (CAP_NET_ADMIN), for good.
    virtual void give_up_socket_rights() noexcept = 0;

    // Attributes of the device: client/kernel/sysfs.hh.
    // False only if the device is certainly disconnected, or was connected anew by another attachment.
    [[nodiscard]] virtual bool has_our_device() const noexcept = 0;
    [[nodiscard]] virtual std::uint64_t in_flight() const noexcept = 0;
    [[nodiscard]] virtual bool counts_requests() const noexcept = 0;
    [[nodiscard]] virtual bool is_idle() const noexcept = 0;
    [[nodiscard]] virtual std::uint64_t writes() const noexcept = 0;
    [[nodiscard]] virtual SysfsDevice::Totals totals() const noexcept = 0;
    [[nodiscard]] virtual std::uint64_t largest_request() const noexcept = 0;
    [[nodiscard]] virtual std::uint64_t size() const noexcept = 0;

    [[nodiscard]] virtual Clock::time_point now() const noexcept = 0;

protected:
    ~Kernel() = default;
};

}  // namespace holdfast::client
