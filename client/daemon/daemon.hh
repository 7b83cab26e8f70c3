// Daemon of one attached device: replaces the link whenever the link dies, until the device is detached or
// another daemon takes the device over.
//
// Runs in a single thread, with one epoll set. The supervisor decides; this class acts and reports back. The
// daemon never opens the block device: while the link is down, the open would wait for the daemon itself.
// Everything except the constructor and prepare() may run after the seal.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "client/control/device_record.hh"
#include "client/daemon/callers.hh"
#include "client/daemon/device_files.hh"
#include "client/daemon/device_release.hh"
#include "client/daemon/disk_proof.hh"
#include "client/daemon/domain_move.hh"
#include "client/daemon/event_loop.hh"
#include "client/daemon/export_probe.hh"
#include "client/daemon/kept_device.hh"
#include "client/daemon/lease_renewal.hh"
#include "client/daemon/link_log.hh"
#include "client/daemon/links_in_use.hh"
#include "client/daemon/linux_kernel.hh"
#include "client/daemon/machine_shutdown.hh"
#include "client/daemon/queue_limits.hh"
#include "client/daemon/stall_watch.hh"
#include "client/daemon/supervisor.hh"
#include "client/link/link.hh"
#include "client/link/link_health.hh"
#include "client/process/hardening.hh"

namespace holdfast::client {

class Daemon final : private Commands, private StatusSource {
public:
    // Requires a non-empty `record.targets`.
    Daemon(Netlink netlink, SysfsDevice sysfs, DeviceRecord record, const LiveState& live);
    // Opens every resource that the daemon needs later: control socket, files, epoll, timer, signals.
    [[nodiscard]] Result<void> prepare();
    // Removes the files that prepare() created, if the daemon will not run.
    void abandon() noexcept;
    // Starts to act for the device. `link`: the socket that the kernel uses; empty if unknown, then the
    // daemon first establishes a new link.
    void take_charge(Fd link, const LiveState& live) noexcept;
    // Publishes the control socket and the files: from now on callers reach this daemon.
    void announce() noexcept;
    // Returns when the device is detached or handed to another daemon.
    void run() noexcept;

private:
    // Event handlers, one for each source.
    void on_kernel_event();
    void on_attempt_event();
    void on_timer();
    void dispatch(std::uint64_t tag);

    // Reports the event to the supervisor and carries out actions until none follows.
    void tell(LinkEvent event);
    [[nodiscard]] std::optional<LinkEvent> carry_out(LinkAction action);
    [[nodiscard]] std::optional<LinkEvent> try_server();
    [[nodiscard]] std::optional<LinkEvent> advance_attempt();
    [[nodiscard]] std::optional<LinkEvent> judge_attempt();
    [[nodiscard]] std::optional<LinkEvent> offer_link();
    void welcome_link();
    [[nodiscard]] std::optional<LinkEvent> look_at_link();
    [[nodiscard]] bool is_too_long(std::chrono::milliseconds unanswered) const noexcept;
    void cut_link();
    void lose_link(const LineText& reason);

    void react(ExportProbe::Outcome outcome);
    [[nodiscard]] nbd::SessionClaim next_claim() noexcept;
    void renew_lease(Clock::time_point now);

    // Commands of callers; status() also serves the public file.
    [[nodiscard]] DeviceStatus status() const override;
    [[nodiscard]] std::string_view record_lines() const override { return files_.record_lines(); }
    [[nodiscard]] LineText detach(bool forced, bool standing_by) override;
    [[nodiscard]] bool has_link() const override { return supervisor_->has_link(); }
    [[nodiscard]] bool is_resizing() const override;
    [[nodiscard]] bool is_resizing_for(std::size_t slot) const override;
    void resize(std::size_t slot) override;
    void forget(std::size_t slot) override;
    [[nodiscard]] int stand_by() override;
    void resume() override;
    void leave_files();
    [[nodiscard]] bool is_over() const noexcept { return leaving_ || callers_.handed_over(); }

    [[nodiscard]] LinkView view(Clock::time_point now) const noexcept;
    [[nodiscard]] Clock::time_point deadline() const noexcept;

    EventLoop loop_;
    LinuxKernel kernel_;
    KeptDevice device_;
    DeviceFiles files_;
    LinkLog log_;
    LinksInUse links_;
    QueueLimits limits_;
    DeviceRelease release_;
    DiskProof proof_;
    ThisMachine machine_;
    MachineShutdown shutdown_;
    Callers callers_;
    DeviceGrowth growth_;
    ExportProbe probe_;
    LeaseRenewal lease_;
    DomainMove domain_;
    nbd::Uuid session_{};
    std::optional<Supervisor> supervisor_;  // set once in charge

    std::uint64_t received_ = 0;             // bytes received on the link at the last link check
    std::uint64_t acknowledged_before_ = 0;  // bytes acknowledged on the link when the kernel got the socket
    std::optional<LinkAttempt> attempt_;
    std::optional<Link> candidate_;  // while attaching
    bool candidate_lost_cache_ = false;
    StallWatch stall_;
    SilenceWatch silence_;  // watches the link
    std::uint32_t looks_ = 0;
    std::uint32_t refusals_ = 0;  // consecutive links that the kernel refused

    MemoryUse memory_;
    bool leaving_ = false;
};

}  // namespace holdfast::client
