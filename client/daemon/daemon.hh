// Daemon of one attached device: replaces the link whenever the link dies, until the device is detached or
// another daemon takes the device over.
//
// Composes the parts, and passes events and commands on to them. Runs in a single thread. The daemon never
// opens the block device: while the link is down, the open would wait for the daemon itself. Everything
// except the constructor and prepare() may run after the seal.
#pragma once

#include "client/daemon/callers.hh"
#include "client/daemon/device_files.hh"
#include "client/daemon/device_growth.hh"
#include "client/daemon/device_release.hh"
#include "client/daemon/disk_proof.hh"
#include "client/daemon/domain_move.hh"
#include "client/daemon/event_loop.hh"
#include "client/daemon/export_probe.hh"
#include "client/daemon/kept_device.hh"
#include "client/daemon/lease_renewal.hh"
#include "client/daemon/link_keeper.hh"
#include "client/daemon/link_log.hh"
#include "client/daemon/link_watch.hh"
#include "client/daemon/links_in_use.hh"
#include "client/daemon/linux_kernel.hh"
#include "client/daemon/machine_shutdown.hh"
#include "client/daemon/network_guard.hh"
#include "client/daemon/new_link.hh"
#include "client/daemon/queue_limits.hh"
#include "client/process/apparmor_profile.hh"
#include "client/process/memory_use.hh"

namespace holdfast::client {

class Daemon final : private Commands, private LinkListener, private StatusSource {
public:
    // Requires a non-empty `record.targets`.
    Daemon(Netlink netlink, SysfsDevice sysfs, DeviceRecord record, const LiveState& live);
    Daemon(const Daemon&) = delete;
    Daemon& operator=(const Daemon&) = delete;
    // Opens every resource that the daemon needs later: control socket, files, epoll, timer, signals.
    // `title`: of this process, for further processes.
    [[nodiscard]] Result<void> prepare(ProcessTitle& title);
    // Removes the files that prepare() created, if the daemon will not run.
    void abandon() noexcept { callers_.remove(); }
    // Starts to act for the device. `link`: the socket that the kernel uses; empty if unknown, then the
    // daemon first establishes a new link.
    void start(Fd link, const LiveState& live) noexcept;
    // Publishes the control socket and the files: from now on callers reach this daemon.
    void announce() noexcept;
    // Returns when the device is detached or handed to another daemon.
    void run() noexcept;

private:
    void dispatch(std::uint64_t tag);
    // Consumes an event while another daemon is about to take the device over.
    void stand_by_for(std::uint64_t tag);
    void act_on(std::uint64_t tag);
    void on_timer(Clock::time_point now);
    void start_parts();
    void confine_at_start();
    void follow_network() noexcept;
    void react(ExportProbe::Outcome outcome);
    [[nodiscard]] LinkView link() const noexcept { return keeper_.view(kernel_.now()); }
    [[nodiscard]] Clock::time_point deadline() const noexcept;
    [[nodiscard]] bool is_over() const noexcept { return keeper_.is_leaving() || callers_.handed_over(); }

    // Commands, from callers; status() also serves the public file.
    [[nodiscard]] DeviceStatus status() const override;
    [[nodiscard]] std::string_view record_lines() const override { return files_.record_lines(); }
    [[nodiscard]] LineText detach(bool forced, bool standing_by) override;
    [[nodiscard]] LineText confine() override;
    [[nodiscard]] bool has_link() const override { return keeper_.has_link(); }
    [[nodiscard]] bool is_resizing() const override {
        return probe_.caller().exists() || growth_.caller().exists();
    }
    [[nodiscard]] bool is_resizing_for(std::size_t slot) const override {
        return probe_.caller().is(slot) || growth_.caller().is(slot);
    }
    void resize(std::size_t slot) override;
    void forget(std::size_t slot) override {
        probe_.forget(slot);
        growth_.forget(slot);
    }
    [[nodiscard]] int stand_by() override;
    void resume() override;

    // LinkListener.
    void link_established(std::uint64_t size) noexcept override;
    void link_lost() noexcept override;
    void leaving() noexcept override;

    EventLoop loop_;
    LinuxKernel kernel_;
    KeptDevice device_;
    DeviceFiles files_;
    QueueLimits limits_;
    LinkLog log_;
    LinksInUse links_;
    DeviceRelease release_;
    NewLink new_link_;
    LinkWatch watch_;
    LinkKeeper keeper_;
    Callers callers_;
    DiskProof proof_;
    DeviceGrowth growth_;
    ExportProbe probe_;
    ThisMachine machine_;
    MachineShutdown shutdown_;
    LeaseRenewal lease_;
    NetworkGuard network_;
    DomainMove domain_;
    AppArmorProfile profile_;
    bool profile_loaded_ = false;  // at the start
    MemoryUse memory_;
};

}  // namespace holdfast::client
