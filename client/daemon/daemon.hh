// The daemon that stays with one attached device: it replaces the link whenever it dies, until the device is
// detached or another daemon takes it over.
//
// One thread and one epoll. What is to be done is the supervisor's to say; here it is done, and what happens
// is told to the supervisor. It never opens the block device: while the link is down that would wait for
// itself. All but the constructor and prepare() is for after the seal.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "client/control/control.hh"
#include "client/control/record.hh"
#include "client/control/state_file.hh"
#include "client/control/status.hh"
#include "client/daemon/disk_proof.hh"
#include "client/daemon/growth.hh"
#include "client/daemon/log_limit.hh"
#include "client/daemon/older_links.hh"
#include "client/daemon/request_timer.hh"
#include "client/daemon/shutdown_bound.hh"
#include "client/daemon/shutdown_signs.hh"
#include "client/daemon/stall.hh"
#include "client/daemon/supervisor.hh"
#include "client/daemon/told.hh"
#include "client/kernel/netlink.hh"
#include "client/kernel/sysfs.hh"
#include "client/lease/lease_keeper.hh"
#include "client/link/link.hh"
#include "client/link/link_health.hh"
#include "client/process/residence.hh"
#include "client/process/selinux_domain.hh"
#include "common/linux/log.hh"

namespace holdfast::client {

// Where an event comes from, in epoll's data.
enum EventTag : std::uint64_t {
    tag_kernel,
    tag_link,
    tag_attempt,
    tag_probe,
    tag_timer,
    tag_signals,
    tag_listen,
    tag_lease,
    tag_first_caller
};

[[nodiscard]] inline Monotonic since_boot(Clock::time_point time) noexcept {
    return std::chrono::duration_cast<Monotonic>(time.time_since_epoch());
}

// The loop and what is done for the link are in daemon.cc, the look at the export in daemon_probe.cc, what
// others ask for in daemon_orders.cc, the DHCP lease in daemon_lease.cc, the end of the machine in
// daemon_shutdown.cc.
class Daemon {
public:
    // `record.targets` is not empty.
    Daemon(Netlink netlink, SysfsDevice sysfs, DeviceRecord record, const LiveState& live);
    // Control socket, files, epoll, timer, signals: all that it will ever need.
    [[nodiscard]] Result<void> prepare();
    // Takes away what prepare() has put into folders: the daemon is not to act.
    void abandon() noexcept;
    // Begins to act for the device. `link`: the socket that the kernel has, or nothing where it is not known
    // whether it has one: then the first thing that is done is to make a new one.
    void take_charge(Fd link, const LiveState& live) noexcept;
    // From here on callers come to this daemon, and files name it.
    void announce() noexcept;
    // Returns when the device is detached, or another daemon's.
    void run() noexcept;

private:
    // Events, by where they come from.
    void on_kernel_event();
    void on_attempt_event();
    void on_probe_event();
    void on_timer();
    void on_signal();
    void on_control(std::size_t slot);
    void on_caller();
    void dispatch(std::uint64_t tag);

    // The supervisor is told, and obeyed until it has nothing more to say.
    void tell(LinkEvent event);
    [[nodiscard]] std::optional<LinkEvent> carry_out(LinkAction action);
    [[nodiscard]] std::optional<LinkEvent> try_server();
    [[nodiscard]] std::optional<LinkEvent> advance_attempt();
    [[nodiscard]] std::optional<LinkEvent> judge_attempt();
    [[nodiscard]] std::optional<LinkEvent> offer_link();
    void welcome_link();
    [[nodiscard]] std::optional<LinkEvent> look_at_link();
    void mind_request_timer(Clock::time_point now);
    void mind_request_size(bool empty);
    void mind_growth(Clock::time_point now);
    [[nodiscard]] GrowthFacts growth_facts(Clock::time_point now) const noexcept;
    [[nodiscard]] bool is_too_long(std::chrono::milliseconds unanswered) const noexcept;
    void cut_link();
    void let_link_go() noexcept;
    void take_older_links();
    void forget_older_links() noexcept;
    [[nodiscard]] LineText end_links() noexcept;
    void remember(const LineText& error);
    void note_failure(const LineText& reason);
    void lose_link(const LineText& reason);
    // Logs a line that a link brings which may come and go many times a minute.
    void log_link(log::Level level, const LineText& line);
    void mind_log(Clock::time_point now);

    // The look at the export on a connection of its own.
    void start_probe(Clock::time_point now);
    void end_probe(Clock::time_point now);
    void judge_probe(Clock::time_point now, bool expired);

    void answer_resize(std::optional<std::size_t>& caller, const LineText& answer);
    [[nodiscard]] Result<void> grow_to(std::uint64_t size);
    [[nodiscard]] bool device_is_ours() const noexcept;
    [[nodiscard]] nbd::SessionClaim next_claim() noexcept;
    [[nodiscard]] bool give_device_up(std::string_view reason);
    void mind_domain(Clock::time_point now);
    void mind_shutdown(Clock::time_point now);
    [[nodiscard]] DiskEvidence evidence(Clock::time_point now) noexcept;
    void end_with_the_machine();

    // The DHCP lease, in daemon_lease.cc.
    void prepare_lease();
    void take_lease(std::uint64_t seed, Clock::time_point now);
    void mind_lease(Clock::time_point now);
    void tell_lease(DeviceStatus& status, Clock::time_point now) const;

    // Orders.
    void obey(Order order, std::size_t slot);
    [[nodiscard]] bool detach(bool forced, LineText& failure);
    void stand_back(std::size_t slot);
    void resume_charge();
    void leave_record_behind();
    void leave_files();
    [[nodiscard]] DeviceStatus status() const;

    [[nodiscard]] Clock::time_point deadline() const noexcept;
    void arm_timer() noexcept;
    [[nodiscard]] Result<void> watch(int descriptor, std::uint32_t events, std::uint64_t tag) noexcept;
    void forget(int descriptor) noexcept;
    void save() noexcept;
    void publish() noexcept;
    void beat() noexcept;
    [[nodiscard]] const Target& target() const noexcept { return record_.targets[live_.target]; }
    [[nodiscard]] FixedText<16> name() const { return FixedText<16>::of("nbd{}", record_.index); }

    Netlink netlink_;
    SysfsDevice sysfs_;
    const DeviceRecord record_;
    LiveState live_;
    nbd::Uuid session_{};
    std::optional<Supervisor> supervisor_;  // once in charge

    OlderLinks older_links_;
    Fd link_;                                // the socket that the kernel was given; shut down while waiting
    std::uint64_t received_ = 0;             // bytes on it at the last look
    std::uint64_t acknowledged_before_ = 0;  // bytes on it when the kernel was given it
    std::optional<LinkAttempt> attempt_;
    std::optional<Link> candidate_;  // while attaching
    bool candidate_lost_cache_ = false;
    StallWatch stall_;
    SilenceWatch silence_;  // on link_
    RequestTimer request_timer_;
    SysfsDevice::Totals totals_;  // at the last look
    std::uint32_t looks_ = 0;
    bool told_of_size_ = false;       // queue/max_sectors_kb was over the server's maximum at the last look
    std::uint32_t refusals_ = 0;      // by the kernel, of a link, in a row
    std::uint64_t wanted_size_ = 0;   // the export's, where the device is to grow to it; 0: it is not
    std::uint64_t growth_tried_ = 0;  // the size for which a new link was made last

    std::optional<LinkAttempt> probe_;
    Clock::time_point probe_due_ = Clock::time_point::max();  // its beginning, or while it goes on its end
    std::uint64_t probe_received_ = 0;                        // on the link when it began
    std::uint32_t silent_probes_ = 0;                         // in a row
    std::optional<std::size_t> probe_caller_;                 // who waits for its answer
    std::optional<std::size_t> growth_caller_;  // who waits for a new link that has the new size
    Clock::time_point growth_caller_due_{};     // gives meaning to growth_caller_: no longer than that

    Fd epoll_;
    Fd timer_;
    Fd signals_;
    std::optional<ControlServer> control_;
    std::optional<OmitFile> omit_;
    std::optional<StateFile> state_file_;
    std::optional<PublicFile> public_file_;
    Clock::time_point heartbeat_{};  // the last one
    bool publishes_ = true;          // the last attempt succeeded
    MemoryUse memory_;
    std::optional<LeaseKeeper> lease_;  // where the record names one
    std::array<ControlConnection, 4> callers_;
    std::optional<std::size_t> successor_;  // the caller for whom this daemon stands back
    Clock::time_point successor_due_{};     // gives meaning to successor_: until then

    ShutdownBound shutdown_;
    ShutdownSigns signs_;
    DiskProof proof_;
    SelinuxDomain domain_;

    ToldErrors told_;
    LogLimit log_limit_;  // of what the link brings
    LineText left_out_;   // the last line that it left out
    bool leaving_ = false;
};

}  // namespace holdfast::client
