// Shutdown of a machine whose server is unreachable. Every process waits for the disk then, perhaps pid 1,
// too: so the daemon gives the device up and, if that does not help, ends the machine.
#pragma once

#include <chrono>

#include "client/daemon/device_release.hh"
#include "client/daemon/disk_proof.hh"
#include "client/daemon/kept_device.hh"
#include "client/daemon/kernel.hh"
#include "client/daemon/link_view.hh"
#include "client/daemon/shutdown_detection.hh"
#include "client/daemon/shutdown_limit.hh"

namespace holdfast::client {

// The machine, as far as a shutdown ends it. An interface, so that unit tests end no machine.
class Machine {
public:
    // Syncs the other disks without waiting for them: one of these disks may be unreachable, too.
    virtual void sync_in_the_background() noexcept = 0;
    virtual void pause(std::chrono::seconds duration) noexcept = 0;
    // Ends the machine at once, by a reboot if the given ending is impossible. Returns only on failure.
    virtual void end(Ending ending) noexcept = 0;

protected:
    ~Machine() = default;
};

// The machine that runs this process.
class ThisMachine final : public Machine {
public:
    void sync_in_the_background() noexcept override;
    void pause(std::chrono::seconds duration) noexcept override;
    void end(Ending ending) noexcept override;
};

class MachineShutdown {
public:
    // The arguments must outlive the object.
    MachineShutdown(const Kernel& kernel, const KeptDevice& device, DeviceRelease& release, DiskProof& proof,
                    Machine& machine) noexcept
        : kernel_(kernel),
          device_(device),
          release_(release),
          proof_(proof),
          machine_(machine),
          limit_(device.record.policy.shutdown_timeout) {}

    // Sets the source of signs of a shutdown; without it no shutdown is detected. Before the seal.
    void open(ShutdownDetection detection) { detection_ = std::move(detection); }
    // Call regularly. Returns true if the daemon must leave: the device was given up, as far as possible. May
    // be called after the seal.
    [[nodiscard]] bool look(const LinkView& link, Clock::time_point now);

private:
    [[nodiscard]] DiskEvidence evidence(const LinkView& link, Clock::time_point now) noexcept;
    void give_device_up();

    const Kernel& kernel_;
    const KeptDevice& device_;
    DeviceRelease& release_;
    DiskProof& proof_;
    Machine& machine_;
    ShutdownLimit limit_;
    ShutdownDetection detection_;
};

}  // namespace holdfast::client
