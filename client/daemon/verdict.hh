// Whether what a server offers may carry a device that is attached already. Knows no sockets, no kernel.
#pragma once

#include "client/control/record.hh"
#include "client/link/endpoint.hh"
#include "common/protocol/client_handshake.hh"

namespace holdfast::client {

struct Verdict {
    LineText refusal;  // empty: it may
    bool cache_lost =
        false;  // the server's machine is not the one that was written to, or has restarted since
};

// `written`: the device has been written to.
[[nodiscard]] Verdict judge(const nbd::Offer& offer, const std::optional<SessionFacts>& session,
                            const DeviceRecord& record, const LiveState& live, bool written);

// Whether a restart of the server's machine will lose nothing, from this session on: it says so, and so did
// every session before it in the same boot, whose writes may not have been flushed.
[[nodiscard]] bool writes_stay_stable(const LiveState& live, const SessionFacts& session);

// The server is another machine than the one before, or another boot of it, and the one before may still
// apply what it was sent: only its own server fences that. `now`: since boot.
[[nodiscard]] bool is_too_early(const std::optional<SessionFacts>& session, const DeviceRecord& record,
                                const LiveState& live, Monotonic now) noexcept;

}  // namespace holdfast::client
