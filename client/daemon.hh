// The daemon that stays with one attached device: it replaces the link whenever it dies, until the device is
// detached.
//
// One thread and one epoll. It never opens the block device: while the link is down that would wait for
// itself.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "client/control.hh"
#include "client/link.hh"
#include "client/netlink.hh"
#include "client/residence.hh"
#include "client/retry.hh"
#include "client/status.hh"
#include "client/sysfs.hh"

namespace holdfast::client {

// The device as it was connected.
struct AttachedDevice {
    std::uint32_t index = 0;
    DeviceConfiguration configuration;
};

// Why `offer` cannot carry a device that was connected as `configuration`; empty when it can. Pure.
[[nodiscard]] std::string mismatch(const nbd::Offer& offer, const DeviceConfiguration& configuration);

class Daemon {
public:
    Daemon(Netlink netlink, SysfsDevice sysfs, AttachedDevice device, std::vector<Target> targets,
           std::size_t target, Link link);
    // Control socket, omit file, epoll, timer, signals. After an error: abandon().
    [[nodiscard]] Result<void> prepare();
    // Disconnects the device that nobody has seen yet.
    void abandon();
    // Returns when the device is detached. The daemon is settled by then (residence.hh).
    void run();

private:
    struct Attached {
        std::uint64_t received_before;   // bytes on the socket when the kernel got it
        bool proven;                     // the kernel uses the socket: replies came in
        Clock::time_point unused_since;  // requests wait and none is answered; zero: none waits
        Clock::time_point next_look;
        bool kernel_was_silent = false;  // the socket was given to it before it said that the old one is dead
    };
    struct Waiting {
        Clock::time_point until;
    };
    struct Negotiating {
        Clock::time_point connect_deadline;
        Clock::time_point deadline;
    };
    struct Replacing {  // a new link is ready; the kernel is still to say that it has given up the old one
        Link link;
        Clock::time_point deadline;
    };

    // Events, by where they come from.
    void on_kernel_event();
    void on_link_event();
    void on_attempt_event();
    void on_timer();
    void on_signal();
    void on_control(std::size_t slot);
    void on_caller();
    void dispatch(std::uint64_t tag);

    // What the states do.
    void lose_link(std::string_view reason);
    void start_attempt(Clock::time_point now);
    void give_up_attempt(std::string reason);
    void judge_link(Link link);
    void adopt(Link link);
    void look_at_idle_link(Clock::time_point now);
    void wait_for_next_attempt();
    void obey(Order order, ControlConnection& caller);
    [[nodiscard]] bool detach(bool forced, std::string& failure);

    void leave_to_another();
    [[nodiscard]] bool device_is_ours() const;
    [[nodiscard]] bool link_is_dead() const;
    [[nodiscard]] DeviceStatus status() const;
    [[nodiscard]] Clock::time_point deadline() const;
    void arm_timer();
    [[nodiscard]] Result<void> watch(int descriptor, std::uint32_t events, std::uint64_t tag);
    void forget(int descriptor);
    void note_error(std::string text);
    [[nodiscard]] std::string name() const;

    Netlink netlink_;
    SysfsDevice sysfs_;
    AttachedDevice device_;
    std::vector<Target> targets_;
    std::size_t target_;             // the one in use, or tried now
    std::vector<std::string> told_;  // each target's last error since the link was lost, as it was logged
    Fd link_;                        // the socket that the kernel has, or had: shut down while no link is up
    std::optional<LinkAttempt> attempt_;  // while Negotiating
    std::variant<Attached, Waiting, Negotiating, Replacing> state_;

    Fd epoll_;
    Fd timer_;
    Fd signals_;
    std::optional<ControlServer> control_;
    std::optional<OmitFile> omit_;
    std::array<ControlConnection, 4> callers_;

    Jitter jitter_;
    bool leaving_ = false;
    bool kernel_said_dead_ = false;  // LINK_DEAD came for the link that is being replaced
    std::uint64_t attempts_ = 0;     // since a link that had lasted was lost
    std::uint64_t reconnects_ = 0;
    Clock::time_point attached_at_;
    Clock::time_point link_changed_at_;
    std::string last_error_;
};

}  // namespace holdfast::client
