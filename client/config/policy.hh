// How a device is to be kept, as its administrator chose: on the command line, in nbdroot's options, in the
// configuration file. Plain values, checked where they are read.
#pragma once

#include <chrono>
#include <cstdint>

namespace holdfast::client {

// What to do when a server's machine has restarted, and with it writes may be gone that it had acknowledged
// and nobody had flushed yet; the next flush succeeds all the same.
enum class LostCache : std::uint8_t {
    go_on,  // report it, and carry on: mostly nothing is lost (holdfast-client(8))
    fail,   // give the device up, so that its file system gets errors and stops
};

// What the initramfs's DHCP client leaves behind with the address of the root disk's interface: a lease that
// somebody must renew.
enum class LeaseCare : std::uint8_t {
    renew,  // the daemon does
    leave,  // another program does, or nobody
};

struct Policy {
    std::chrono::seconds request_timeout{
        0};  // the kernel's timer that ends a link on which a request takes longer; 0: none
    std::chrono::seconds dead_after{15};  // a peer that is silent for so long is dead; at least 3
    std::chrono::seconds probe_interval{
        10};                        // between looks at the export on a connection of their own; 0: none
    std::uint32_t connections = 1;  // to one server at once
    LostCache lost_cache = LostCache::go_on;
    std::chrono::seconds shutdown_timeout{
        90};  // within which a machine that goes down is off, when the server is away; 0: it waits for ever
    LeaseCare lease = LeaseCare::renew;

    bool operator==(const Policy&) const = default;
};

}  // namespace holdfast::client
