// The device that a daemon keeps: the facts and the state that the daemon's parts share.
#pragma once

#include <chrono>
#include <utility>

#include "client/control/device_record.hh"
#include "common/linux/result.hh"
#include "common/text/fixed_text.hh"

namespace holdfast::client {

[[nodiscard]] inline Monotonic since_boot(std::chrono::steady_clock::time_point time) noexcept {
    return std::chrono::duration_cast<Monotonic>(time.time_since_epoch());
}

struct KeptDevice {
    const DeviceRecord record;  // with at least one target
    LiveState live;

    [[nodiscard]] FixedText<16> name() const { return FixedText<16>::of("nbd{}", record.index); }
    // Server in use, or last tried.
    [[nodiscard]] const Target& target() const noexcept { return record.targets[live.target]; }
};

// Place where the record of the device is kept for the next daemon. May be used after the seal.
class RecordStore {
public:
    // Saves the present live state. A failure is logged.
    virtual void save() noexcept = 0;
    // Saves the record a last time, as that of a device detached by force.
    [[nodiscard]] virtual Result<void> leave_behind() noexcept = 0;

protected:
    ~RecordStore() = default;
};

}  // namespace holdfast::client
