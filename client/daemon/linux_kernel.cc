// Adds the device's index and identifier to each request.

#include "client/daemon/linux_kernel.hh"

#include <utility>

#include "client/kernel/forced_disconnect.hh"
#include "client/process/capabilities.hh"

namespace holdfast::client {

LinuxKernel::LinuxKernel(Netlink netlink, SysfsDevice sysfs, std::uint32_t index, std::string identifier)
    : netlink_(std::move(netlink)),
      sysfs_(std::move(sysfs)),
      index_(index),
      identifier_(std::move(identifier)) {}

Result<void> LinuxKernel::reconfigure(const DeviceChange& change) noexcept {
    return netlink_.reconfigure(index_, identifier_, change);
}

Result<void> LinuxKernel::disconnect() noexcept { return netlink_.disconnect(index_); }

Result<void> LinuxKernel::release_stuck() noexcept {
    return client::release_stuck(netlink_, index_, identifier_);
}

Netlink::LinkDead LinuxKernel::take_link_dead() noexcept { return netlink_.take_link_dead(index_); }

void LinuxKernel::give_up_socket_rights() noexcept { client::give_up_socket_rights(); }

}  // namespace holdfast::client
