// In nbd.c, a request that finds every socket dead sleeps until a socket is alive or its timeout, read from
// the device when it fell asleep, has passed. Therefore the device's timeout is set to one second for the
// next sleep, a live socket wakes the requests, and that socket then dies.

#include "client/kernel/forced_disconnect.hh"

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
    // Ignores a refusal (no socket is dead, or the device is being removed): DISCONNECT follows in any case.
    [[maybe_unused]] const auto woken = netlink.reconfigure(index, identifier, change);
    // Gives the sleepers time to see a live socket.
    pause_for(std::chrono::milliseconds{100});
    peer.reset();
    auto done = netlink.disconnect(index);
    if (done) return done;
    // Restores the timeout: the device stays, and so do its waiting requests.
    DeviceChange again;
    again.dead_connection_timeout = practically_for_ever;
    [[maybe_unused]] const auto restored = netlink.reconfigure(index, identifier, again);
    return done;
}

}  // namespace holdfast::client
