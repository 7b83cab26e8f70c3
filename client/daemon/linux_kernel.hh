// The running kernel, through netlink and sysfs.
#pragma once

#include <string>

#include "client/daemon/kernel.hh"

namespace holdfast::client {

class LinuxKernel final : public Kernel {
public:
    // `identifier`: the device's BACKEND_IDENTIFIER.
    LinuxKernel(Netlink netlink, SysfsDevice sysfs, std::uint32_t index, std::string identifier);

    // Descriptors owned by the object: readable if an event is waiting; the device's folder in /sys.
    [[nodiscard]] int events_descriptor() const noexcept { return netlink_.events_descriptor(); }
    [[nodiscard]] int attributes_directory() const noexcept { return sysfs_.directory(); }

    [[nodiscard]] Result<void> reconfigure(const DeviceChange& change) noexcept override;
    [[nodiscard]] Result<void> disconnect() noexcept override;
    [[nodiscard]] Result<void> release_stuck() noexcept override;
    [[nodiscard]] Netlink::LinkDead take_link_dead() noexcept override;
    void give_up_socket_rights() noexcept override;
    [[nodiscard]] bool has_our_device() const noexcept override {
        return sysfs_.possibly_connected_as(identifier_);
    }
    [[nodiscard]] std::uint64_t in_flight() const noexcept override { return sysfs_.in_flight(); }
    [[nodiscard]] bool counts_requests() const noexcept override { return sysfs_.counts_requests(); }
    [[nodiscard]] bool is_idle() const noexcept override { return sysfs_.is_idle(); }
    [[nodiscard]] std::uint64_t writes() const noexcept override { return sysfs_.writes(); }
    [[nodiscard]] SysfsDevice::Totals totals() const noexcept override { return sysfs_.totals(); }
    [[nodiscard]] std::uint64_t largest_request() const noexcept override { return sysfs_.largest_request(); }
    [[nodiscard]] std::uint64_t size() const noexcept override { return sysfs_.size(); }
    [[nodiscard]] Clock::time_point now() const noexcept override { return Clock::now(); }

private:
    Netlink netlink_;
    SysfsDevice sysfs_;
    std::uint32_t index_;
    std::string identifier_;
};

}  // namespace holdfast::client
