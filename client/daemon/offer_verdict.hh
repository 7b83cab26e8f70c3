// Decides whether a reconnect may use the offered export. Uses no sockets, no kernel.
#pragma once

#include "client/control/device_record.hh"
#include "client/link/endpoint.hh"
#include "common/protocol/client_handshake.hh"

namespace holdfast::client {

struct OfferVerdict {
    LineText refusal;         // empty: accepted
    bool cache_lost = false;  // another machine than the one written to, or restarted since
};

// `written`: the device has been written to.
[[nodiscard]] OfferVerdict judge(const nbd::Offer& offer, const std::optional<SessionFacts>& session,
                                 const DeviceRecord& record, const LiveState& live, bool written);

// Returns true if a restart of the server's machine loses no writes from this session on: this session
// declares stable writes, and so did every earlier session in the same boot, whose writes may be unflushed.
[[nodiscard]] bool writes_stay_stable(const LiveState& live, const SessionFacts& session);

// Returns true if the server is another machine, or another boot of the same machine, while the previous
// server may still apply writes that it received: only the previous server itself can fence them. `now`:
// since boot.
[[nodiscard]] bool is_too_early(const std::optional<SessionFacts>& session, const DeviceRecord& record,
                                const LiveState& live, Monotonic now) noexcept;

}  // namespace holdfast::client
