// Health of the link in use, by the counters of its socket and the requests in flight: whether the kernel
// uses the link, whether the server's machine is silent, for how long requests have waited.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "client/daemon/kept_device.hh"
#include "client/daemon/kernel.hh"
#include "client/daemon/link_log.hh"
#include "client/daemon/link_table.hh"
#include "client/daemon/queue_limits.hh"
#include "client/daemon/stall_watch.hh"
#include "client/link/link_health.hh"

namespace holdfast::client {

// May be used after the seal.
class LinkWatch {
public:
    // The arguments must outlive the object.
    LinkWatch(const Kernel& kernel, KeptDevice& device, LinkLog& log, QueueLimits& limits) noexcept
        : kernel_(kernel), device_(device), log_(log), limits_(limits) {}

    // Starts to watch another link: call before the kernel is given the link, and again once it was.
    void before_use(int link) noexcept;
    void start(int link) noexcept;
    // All requests wait from now on.
    void link_lost(Clock::time_point now) noexcept { stall_.link_lost(now); }

    // State of a link that the kernel is not known to use yet.
    enum class Proof : std::uint8_t {
        none,        // no answer yet
        answered,    // answers came on the link
        unprovable,  // the socket has no counters: a UNIX socket
        dead,        // the socket was closed or has failed
        silent,      // the server's machine does not acknowledge
    };
    [[nodiscard]] Proof prove(int link, Clock::time_point now) noexcept;

    struct Look {
        std::optional<LinkEvent> event;                 // empty: the link continues
        std::optional<std::chrono::milliseconds> next;  // interval until the next look; empty: as before
    };
    // Checks a link that the kernel uses.
    [[nodiscard]] Look look(int link, Clock::time_point now);

    // Bytes acknowledged on the link before the kernel was given the link.
    [[nodiscard]] std::uint64_t acknowledged_before() const noexcept { return acknowledged_before_; }
    // Time for which requests have waited without any answer; 0: none wait.
    [[nodiscard]] std::chrono::milliseconds stalled(Clock::time_point now) const noexcept {
        return stall_.age(now);
    }
    // Longest such time of the attachment.
    [[nodiscard]] std::chrono::milliseconds longest_stall(Clock::time_point now) const noexcept;
    // Puts that time into the live state.
    void record_stall(Clock::time_point now) noexcept { device_.live.longest_stall = longest_stall(now); }

private:
    [[nodiscard]] bool is_too_long(std::chrono::milliseconds unanswered) const noexcept;

    const Kernel& kernel_;
    KeptDevice& device_;
    LinkLog& log_;
    QueueLimits& limits_;
    StallWatch stall_;
    SilenceWatch silence_;
    std::uint64_t received_ = 0;  // bytes received on the link at the last look
    std::uint64_t acknowledged_before_ = 0;
    std::uint32_t looks_ = 0;
};

}  // namespace holdfast::client
