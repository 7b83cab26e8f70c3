// Keeps the network under the root disk: a process of its own, holdfast-net, remembers interface, addresses
// and routes of the link in use, and restores them if they are lost (client/network/).
//
// Not done in the daemon itself, for two reasons. A request to the kernel's network configuration waits for a
// lock whose holder may wait for memory, and memory for the root disk, which waits for the daemon. And the
// daemon can do without CAP_NET_ADMIN. The process has this capability only, neither a link nor a file of the
// daemon, and all its memory locked; if the process dies, the only cost is that nothing is restored.
#pragma once

#include <optional>

#include "client/daemon/event_loop.hh"
#include "client/daemon/kept_device.hh"
#include "client/network/rtnetlink_message.hh"
#include "client/process/process_title.hh"
#include "common/linux/fd.hh"

namespace holdfast::client {

// Returns the address of a socket address, without its port; no family for other families.
[[nodiscard]] IpAddress ip_address_of(const sockaddr_storage& address) noexcept;

// Facts for the process, in a packet each.
struct NetworkOrder {
    bool acting = false;   // false: another daemon is about to take the device over
    bool link_up = false;  // the daemon has a link to the server
    IpAddress server;      // server of the link in use, or of the last one
    std::uint32_t scope = 0;
    IpAddress local;   // source address of that link; no family: unknown
    IpAddress leased;  // leased address; no family: none
};

// Facts from the process.
struct NetworkNews {
    std::uint32_t index = 0;  // interface with the leased address; 0: unchanged
    InterfaceName interface;
    bool failed = false;
    LineText text;  // for the log; empty: none
};

class NetworkGuard {
public:
    // The arguments must outlive the object.
    NetworkGuard(KeptDevice& device, EventLoop& loop) noexcept : device_(device), loop_(loop) {}

    // Starts the process if the device carries the root, has a server on the network; without the process all
    // functions below do nothing. Before the seal, and with all capabilities; all functions below may be
    // called after the seal. `title`: of this process, overwritten in the new one.
    void open(ProcessTitle& title);
    // The link in use is `link` (-1: none), to the present server of the device.
    void link_is(int link) noexcept;
    // Another daemon is about to take the device over.
    void stand_by() noexcept;
    // Reports the daemon's move into its SELinux domain.
    void follow_domain() noexcept { send(); }

    // Interface of the leased address, after a change.
    struct Interface {
        std::uint32_t index = 0;
        InterfaceName name;
    };
    // Handles messages of the process: logs its news, and returns a change.
    [[nodiscard]] std::optional<Interface> advance() noexcept;
    // Descriptor of the socket to the process, owned by the object; -1 without a process.
    [[nodiscard]] int descriptor() const noexcept { return socket_.get(); }

private:
    void send() noexcept;

    KeptDevice& device_;
    EventLoop& loop_;
    Fd socket_;
    NetworkOrder order_;
};

}  // namespace holdfast::client
