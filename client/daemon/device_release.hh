// Release of the device from the kernel: by the administrator's detach, or because the disk is given up.
#pragma once

#include <string_view>

#include "client/daemon/kept_device.hh"
#include "client/daemon/kernel.hh"
#include "client/daemon/link_log.hh"
#include "client/daemon/links_in_use.hh"
#include "client/daemon/queue_limits.hh"

namespace holdfast::client {

// May be used after the seal.
class DeviceRelease {
public:
    // The arguments must outlive the object.
    DeviceRelease(Kernel& kernel, KeptDevice& device, RecordStore& store, LinksInUse& links, LinkLog& log,
                  QueueLimits& limits) noexcept
        : kernel_(kernel), device_(device), store_(store), links_(links), log_(log), limits_(limits) {}

    struct Request {
        bool forced = false;       // even if waiting I/O is lost
        bool has_link = false;     // the kernel was given the link
        bool standing_by = false;  // another daemon is about to take the device over
    };
    struct Outcome {
        LineText failure;         // empty: released, or not this daemon's device any more
        bool link_ended = false;  // not released, but the link was ended: a new link is needed
    };
    [[nodiscard]] Outcome detach(const Request& request);

    // Fails all I/O of the device. Returns false if the kernel kept the device; the failure is logged.
    // `shutting_down`: the machine is, so its record is lost.
    [[nodiscard]] bool give_up(std::string_view reason, bool shutting_down = false);

private:
    [[nodiscard]] LineText reason_to_stay(const Request& request) const;
    [[nodiscard]] bool is_idle() const noexcept;
    // Disconnects a device that nobody uses.
    [[nodiscard]] Result<void> disconnect_empty();
    // Keeps the record for the next attach, which fences the writes of this device that the server still
    // holds. Returns true if the record was kept.
    bool leave_record_behind();

    Kernel& kernel_;
    KeptDevice& device_;
    RecordStore& store_;
    LinksInUse& links_;
    LinkLog& log_;
    QueueLimits& limits_;
};

}  // namespace holdfast::client
