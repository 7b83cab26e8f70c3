// New link to a server: an attempt, and then a link that is ready for the kernel.
#pragma once

#include <cstdint>
#include <optional>

#include "client/daemon/device_release.hh"
#include "client/daemon/event_loop.hh"
#include "client/daemon/kept_device.hh"
#include "client/daemon/kernel.hh"
#include "client/daemon/link_log.hh"
#include "client/daemon/link_table.hh"
#include "client/link/link.hh"

namespace holdfast::client {

// May be used after the seal.
class NewLink {
public:
    // The arguments must outlive the object.
    NewLink(const Kernel& kernel, KeptDevice& device, EventLoop& loop, LinkLog& log,
            DeviceRelease& release) noexcept
        : kernel_(kernel), device_(device), loop_(loop), log_(log), release_(release) {}

    // Starts an attempt at this server of the record. The results of start() and advance() are events for the
    // supervisor; empty: the attempt waits. Failures are logged.
    [[nodiscard]] std::optional<LinkEvent> start(std::uint32_t server);
    // Handles an event of the attempt's connection.
    [[nodiscard]] std::optional<LinkEvent> advance();
    // Fails the attempt because its time is over.
    void expire();
    void drop_attempt() noexcept { attempt_.reset(); }

    // Link whose export may be used for the device, after the event `agreed`.
    struct Candidate {
        Link link;
        bool cache_lost = false;  // the server may have lost writes
    };
    [[nodiscard]] bool has_candidate() const noexcept { return candidate_.has_value(); }
    // Valid only with a candidate: its socket; and the candidate itself, which passes to the caller.
    [[nodiscard]] int descriptor() const noexcept { return candidate_->link.socket.get(); }
    [[nodiscard]] Candidate take_candidate() noexcept;
    // Ends a candidate. The kernel may have its socket anyway, if only the kernel's answer was lost.
    void end_candidate() noexcept;

    // Ends attempt and candidate: another daemon is about to take the device over.
    void abandon() noexcept;

private:
    [[nodiscard]] nbd::SessionClaim next_claim() noexcept;
    [[nodiscard]] std::optional<LinkEvent> fail(const LineText& reason);
    [[nodiscard]] std::optional<LinkEvent> judge();

    const Kernel& kernel_;
    KeptDevice& device_;
    EventLoop& loop_;
    LinkLog& log_;
    DeviceRelease& release_;
    std::optional<LinkAttempt> attempt_;
    std::optional<Candidate> candidate_;
};

}  // namespace holdfast::client
