// In nbd.c, a request that finds every socket dead sleeps until a socket is alive or its time is up, and it
// took that time from the device when it fell asleep. So it is given a time of one second for when it sleeps
// again, then a live socket to wake it, and the socket then dies.

#include "client/kernel/release.hh"

#include <errno.h>
#include <sys/socket.h>

#include <array>

#include "common/linux/pause.hh"

namespace holdfast::client {

Result<void> release_stuck(Netlink& netlink, std::uint32_t index, const std::string& identifier) {
    std::array<int, 2> pair{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0)
        return sys_error("socketpair");
    const Fd given(pair[0]);
    Fd peer(pair[1]);
    DeviceChange change;
    change.dead_connection_timeout = std::chrono::seconds{1};
    change.socket = given.get();
    // A refusal here (no socket is dead, or the device goes away) is not the end: DISCONNECT follows in any
    // case.
    [[maybe_unused]] const auto woken = netlink.reconfigure(index, identifier, change);
    // Long enough for the sleepers to see a live socket.
    pause_for(std::chrono::milliseconds{100});
    peer.reset();
    auto done = netlink.disconnect(index);
    if (done) return done;
    // It stays, and so do the requests that wait for it.
    DeviceChange again;
    again.dead_connection_timeout = practically_for_ever;
    [[maybe_unused]] const auto restored = netlink.reconfigure(index, identifier, again);
    return done;
}

}  // namespace holdfast::client
