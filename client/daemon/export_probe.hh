// Probe of the export on a separate connection: checks the health of an idle link, and the export's size.
#pragma once

#include <cstdint>
#include <optional>

#include "client/daemon/device_growth.hh"
#include "client/daemon/event_loop.hh"
#include "client/daemon/kept_device.hh"
#include "client/daemon/kernel.hh"
#include "client/daemon/link_log.hh"
#include "client/daemon/link_view.hh"
#include "client/daemon/waiting_caller.hh"
#include "client/link/link.hh"
#include "client/link/link_health.hh"

namespace holdfast::client {

// Counts the consecutive probes that got no answer at all while the link received nothing either. Pure.
class SilentProbes {
public:
    // `silent`: the probe got no answer. `received`: bytes received on the link when the probe began;
    // `health`: of the link now. Returns true if the server's machine counts as unreachable.
    [[nodiscard]] bool see(bool silent, std::uint64_t received, const LinkHealth& health,
                           std::chrono::seconds dead_after) noexcept;

private:
    std::uint32_t count_ = 0;
};

// May be used after the seal.
class ExportProbe {
public:
    // The arguments must outlive the object.
    ExportProbe(const Kernel& kernel, KeptDevice& device, EventLoop& loop, LinkLog& log, DeviceGrowth& growth,
                Answers& answers) noexcept
        : kernel_(kernel), device_(device), loop_(loop), log_(log), growth_(growth), caller_(answers) {}

    // Consequence of a probe for the link.
    enum class Outcome : std::uint8_t {
        none,
        grown,   // the export is larger: replace the link by one with the new size
        silent,  // the server's machine does not answer: the link is lost
    };
    // Starts a probe; a running probe must have ended. `link` has a link.
    [[nodiscard]] Outcome start(const LinkView& link, Clock::time_point now);
    // Same for a caller, whose probe replaces a running probe of the daemon's own.
    [[nodiscard]] Outcome start_for(std::size_t slot, const LinkView& link, Clock::time_point now);
    // Handles an event of the probe's connection.
    [[nodiscard]] Outcome advance(const LinkView& link, Clock::time_point now);
    // Starts the next probe when due, and ends a probe that takes too long.
    [[nodiscard]] Outcome on_timer(const LinkView& link, Clock::time_point now);
    // Ends a running probe, and schedules the next.
    void end(Clock::time_point now) noexcept;

    // Start of the next, or latest end of the running probe; applies only while there is a link.
    [[nodiscard]] Clock::time_point deadline() const noexcept { return due_; }
    [[nodiscard]] const WaitingCaller& caller() const noexcept { return caller_; }
    void forget(std::size_t slot) noexcept { caller_.forget(slot); }

private:
    // Result of a probe that has ended.
    struct Finding {
        bool done = false;        // the server has answered
        bool silent = false;      // the server's machine has not answered at all
        std::uint64_t size = 0;   // valid only if done: size of the export in whole blocks
        bool grown = false;       // a new link should be made for this size
        bool in_the_way = false;  // but requests in flight prevent a new link
    };
    [[nodiscard]] Finding find(const LinkView& link, bool expired);
    [[nodiscard]] Outcome judge(const LinkView& link, bool expired, Clock::time_point now);
    [[nodiscard]] LineText answer_to(const Finding& finding, const LinkView& link) const;

    const Kernel& kernel_;
    KeptDevice& device_;
    EventLoop& loop_;
    LinkLog& log_;
    DeviceGrowth& growth_;
    std::optional<LinkAttempt> attempt_;
    Clock::time_point due_ = Clock::time_point::max();
    std::uint64_t received_ = 0;  // bytes received on the link when the probe began
    SilentProbes silent_probes_;
    WaitingCaller caller_;  // waits for the probe's result
};

}  // namespace holdfast::client
