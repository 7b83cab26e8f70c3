// Callers on the daemon's control socket: receives their commands, and answers. Another daemon that takes the
// device over is a caller, too.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

#include "client/control/control_server.hh"
#include "client/control/device_status.hh"
#include "client/daemon/event_loop.hh"
#include "client/daemon/kept_device.hh"
#include "client/daemon/kernel.hh"
#include "client/daemon/waiting_caller.hh"

namespace holdfast::client {

// Commands, as the daemon carries them out.
class Commands {
public:
    [[nodiscard]] virtual DeviceStatus status() const = 0;
    // Constant lines of the record.
    [[nodiscard]] virtual std::string_view record_lines() const = 0;
    // Detaches the device, and ends the daemon. Otherwise returns the reason. `standing_by`: as below.
    [[nodiscard]] virtual LineText detach(bool forced, bool standing_by) = 0;

    // Enters the AppArmor profile. Returns the reason of a failure.
    [[nodiscard]] virtual LineText confine() = 0;

    [[nodiscard]] virtual bool has_link() const = 0;
    // A look at the export for a caller is in progress, for this caller.
    [[nodiscard]] virtual bool is_resizing() const = 0;
    [[nodiscard]] virtual bool is_resizing_for(std::size_t slot) const = 0;
    // Starts a look at the export for this caller, and answers the caller later.
    virtual void resize(std::size_t slot) = 0;
    // The caller in this slot waits no more.
    virtual void forget(std::size_t slot) = 0;

    // Stands by: does not act for the device until resume(). Returns the link's socket for the successor; -1:
    // no link.
    [[nodiscard]] virtual int stand_by() = 0;
    virtual void resume() = 0;

protected:
    ~Commands() = default;
};

class Callers final : public Answers {
public:
    // The arguments must outlive the object.
    Callers(const Kernel& kernel, const KeptDevice& device, EventLoop& loop, Commands& commands) noexcept
        : kernel_(kernel), device_(device), loop_(loop), commands_(commands) {}

    // Opens the control socket, which no caller finds before publish(). Before the seal; all functions below
    // may be called after the seal.
    [[nodiscard]] Result<void> open();
    [[nodiscard]] Result<void> watch() { return loop_.watch(control_->descriptor(), EPOLLIN, tag_listen); }
    void publish() noexcept;
    // Removes the control socket; does nothing if there is none.
    void remove() noexcept;

    // Handles an event of the control socket, or of the caller in this slot.
    void accept();
    void receive(std::size_t slot);
    // Adds a caller that is connected already.
    void admit(Fd caller) noexcept;
    void answer(std::size_t slot, std::string_view text) noexcept override { callers_[slot].answer(text); }

    // Another daemon was handed the device, and has not reported yet that it is in charge. Until then this
    // daemon stands by.
    [[nodiscard]] bool has_successor() const noexcept { return successor_.has_value(); }
    // Latest time of that report; valid only with a successor.
    [[nodiscard]] Clock::time_point successor_due() const noexcept { return successor_due_; }
    // Resumes if the successor is late.
    void expire_successor(Clock::time_point now);
    // Another daemon is in charge: this daemon must exit.
    [[nodiscard]] bool handed_over() const noexcept { return handed_over_; }

private:
    [[nodiscard]] std::size_t free_slot() const noexcept;
    void end(std::size_t slot);
    void obey(Order order, std::size_t slot);
    void detach(bool forced, ControlConnection& caller);
    void resize(std::size_t slot);
    void confine(ControlConnection& caller);
    void begin_takeover(ControlConnection& caller);
    void hand_over(std::size_t slot);
    void confirm_takeover(std::size_t slot);
    void resume();

    const Kernel& kernel_;
    const KeptDevice& device_;
    EventLoop& loop_;
    Commands& commands_;
    std::optional<ControlServer> control_;
    std::array<ControlConnection, 4> callers_;
    std::optional<std::size_t> successor_;  // caller to which the device is being handed over
    Clock::time_point successor_due_{};     // valid only if successor_ is set
    bool handed_over_ = false;
};

}  // namespace holdfast::client
