// DHCP lease of the address through which the disk is reached: renewed whether the link is up or down, but
// not while another daemon is about to take the device over.
#pragma once

#include <cstdint>
#include <optional>

#include "client/control/device_status.hh"
#include "client/daemon/event_loop.hh"
#include "client/daemon/kept_device.hh"
#include "client/lease/facts_file.hh"
#include "client/lease/lease_socket.hh"

namespace holdfast::client {

class LeaseRenewal {
public:
    using Time = std::chrono::steady_clock::time_point;

    // The arguments must outlive the object.
    LeaseRenewal(KeptDevice& device, EventLoop& loop, RecordStore& store) noexcept
        : device_(device), loop_(loop), store_(store) {}

    // Opens the socket if the record names a lease; without a lease all functions below do nothing. Before
    // the seal; all functions below may be called after the seal. `folder`: holds the lock of the lease, and
    // the folder of the facts.
    void open(std::string_view folder);
    // Takes responsibility for the lease.
    void start(std::uint64_t seed, Time now) noexcept;
    // Time::max(): none.
    [[nodiscard]] Time deadline() const noexcept { return lease_ ? lease_->deadline() : Time::max(); }
    // Processes received messages and sends due requests. Saves the record if the lease has changed, and
    // publishes the facts of a renewal.
    void advance(Time now) noexcept;
    // Discards received messages, while another daemon is about to take the device over.
    void drain() noexcept;
    // Passes the turn to another daemon, until start().
    void release_turn() noexcept;
    // The leased address is on this interface now.
    void move_to(std::string_view interface, Time now) noexcept;
    void add_to(DeviceStatus& status, Time now) const;

private:
    void publish_facts() noexcept;
    void warn_of_facts(const SysError& error) noexcept;

    KeptDevice& device_;
    EventLoop& loop_;
    RecordStore& store_;
    std::optional<LeaseSocket> lease_;
    std::optional<FactsFile> facts_;
};

}  // namespace holdfast::client
