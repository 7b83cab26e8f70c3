// Requests to the kernel's network configuration, and news of its changes: rtnetlink(7).
//
// A request waits for the kernel's lock of that configuration, whose holder may wait for memory, and so for
// the root disk. Therefore no daemon of a device may use this class: a process of its own does
// (network_guard.hh).
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include "client/network/rtnetlink_message.hh"
#include "common/linux/fd.hh"
#include "common/linux/result.hh"

namespace holdfast::client {

class Rtnetlink {
public:
    // Changes need CAP_NET_ADMIN in the process that opens, and in the process that asks.
    [[nodiscard]] static Result<Rtnetlink> open();
    // For sockets that are open already.
    Rtnetlink(Fd requests, Fd events) noexcept : requests_(std::move(requests)), events_(std::move(events)) {}
    // Readable after a change of interfaces, addresses or routes; owned by the object.
    [[nodiscard]] int events_descriptor() const noexcept { return events_.get(); }

    // All functions below may be called after the seal.
    void drain_events() const noexcept;
    // Sends the request and waits for its execution. ENOBUFS: an empty request.
    [[nodiscard]] Result<void> change(NetlinkRequest request, const char* call) const noexcept;
    // Index of the interface that packets to this address leave by. ENETUNREACH: no route. `scope`: interface
    // of a link-local address, or 0.
    [[nodiscard]] Result<std::uint32_t> interface_towards(const IpAddress& address,
                                                          std::uint32_t scope) const noexcept;

    // Calls `take` with each message of a list: RTM_GETLINK, RTM_GETADDR or RTM_GETROUTE.
    template <class Take>
    [[nodiscard]] Result<void> list(std::uint16_t type, Take&& take) const {
        return list(type, &take, [](void* context, const nlmsghdr& message) {
            (*static_cast<std::remove_reference_t<Take>*>(context))(message);
        });
    }

private:
    using Call = void (*)(void* context, const nlmsghdr& message);
    [[nodiscard]] Result<void> list(std::uint16_t type, void* context, Call call) const;
    [[nodiscard]] Result<void> send(NetlinkRequest& request, const char* call) const noexcept;
    template <class Take>
    [[nodiscard]] Result<void> receive_until(const char* call, Take&& take) const;

    Fd requests_;
    Fd events_;
    // Number of the last request.
    mutable std::uint32_t sequence_ = 0;
};

}  // namespace holdfast::client
