// Keeps the device's link: carries out the actions of the supervisor, and reports their results to it as
// further events. Replaces the link whenever the link dies.
#pragma once

#include <cstdint>
#include <optional>

#include "client/daemon/kept_device.hh"
#include "client/daemon/kernel.hh"
#include "client/daemon/link_log.hh"
#include "client/daemon/link_view.hh"
#include "client/daemon/link_watch.hh"
#include "client/daemon/links_in_use.hh"
#include "client/daemon/new_link.hh"
#include "client/daemon/supervisor.hh"

namespace holdfast::client {

// Reactions of other parts of the daemon to the link. Called before the record is saved.
class LinkListener {
public:
    // The kernel was given a new link, to an export of `size` bytes in whole blocks.
    virtual void link_established(std::uint64_t size) noexcept = 0;
    virtual void link_lost() noexcept = 0;
    // The daemon leaves, and ends the link afterwards.
    virtual void leaving() noexcept = 0;

protected:
    ~LinkListener() = default;
};

// May be used after the seal.
class LinkKeeper {
public:
    // The arguments must outlive the object.
    LinkKeeper(Kernel& kernel, KeptDevice& device, RecordStore& store, LinksInUse& links, NewLink& next,
               LinkWatch& watch, LinkLog& log, LinkListener& listener) noexcept
        : kernel_(kernel),
          device_(device),
          store_(store),
          links_(links),
          new_(next),
          watch_(watch),
          log_(log),
          listener_(listener) {}

    // Starts to keep the link, or to establish a link if `link` is empty. All functions below require it.
    void take(Fd link, std::uint64_t seed);
    // Stands by while another daemon is about to take the device over: drops attempts, and ignores the link.
    // Call nothing until resume() but view() and deadline(). Returns the socket of the link; -1: no link.
    [[nodiscard]] int stand_by() noexcept;
    // Takes the link again, if it is still alive.
    void resume(std::uint64_t seed);

    // Handles an event of the link, of the attempt, of the driver (whether with LINK_DEAD), or of the clock.
    void on_link_event();
    void on_attempt_event();
    void on_driver_event(Netlink::LinkDead dead);
    void on_timer(Clock::time_point now);

    // Reports the event to the supervisor and carries out actions until none follows.
    void report(LinkEvent event);
    // Gives the link up, for the reason that is logged.
    void lose(const LineText& reason);

    [[nodiscard]] Clock::time_point deadline() const noexcept { return supervisor_->deadline(); }
    [[nodiscard]] bool has_link() const noexcept { return supervisor_->has_link(); }
    // The daemon must exit.
    [[nodiscard]] bool is_leaving() const noexcept { return supervisor_->state() == LinkState::leaving; }
    [[nodiscard]] LinkView view(Clock::time_point now) const noexcept;

private:
    [[nodiscard]] std::optional<LinkEvent> carry_out(LinkAction action);
    [[nodiscard]] std::optional<LinkEvent> offer();
    [[nodiscard]] LinkEvent judge_refusal(const SysError& error, bool is_new);
    [[nodiscard]] std::optional<LinkEvent> look();
    void welcome();
    void record_outage(Clock::time_point now);
    void record_session(const NewLink::Candidate& candidate) noexcept;
    void cut();
    void prove(Clock::time_point now);

    Kernel& kernel_;
    KeptDevice& device_;
    RecordStore& store_;
    LinksInUse& links_;
    NewLink& new_;
    LinkWatch& watch_;
    LinkLog& log_;
    LinkListener& listener_;
    std::optional<Supervisor> supervisor_;  // set by take()
    std::uint32_t refusals_ = 0;            // consecutive links that the kernel refused
};

}  // namespace holdfast::client
