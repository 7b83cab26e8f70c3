// The administrator's policy for a device, from the command line, nbdroot's options, or the configuration
// file. Plain values, checked when read.
#pragma once

#include <chrono>
#include <cstdint>

namespace holdfast::client {

// Reaction to a restart of the server's machine, which may have lost writes that it had acknowledged and that
// were not yet flushed; the next flush succeeds anyway.
enum class LostCache : std::uint8_t {
    go_on,  // report the restart and continue: usually nothing is lost (holdfast-client(8))
    fail,   // give up the device, so that its file system gets errors and stops
};

// Responsibility for renewing the lease that the initramfs's DHCP client leaves behind with the address of
// the root disk's interface.
enum class LeaseCare : std::uint8_t {
    renew,  // the daemon renews
    leave,  // another program renews, or none does
};

struct Policy {
    std::chrono::seconds request_timeout{
        0};  // kernel timer that ends a link on which a request takes longer; 0: none
    std::chrono::seconds dead_after{15};      // a peer silent for this time is dead; at least 3
    std::chrono::seconds probe_interval{10};  // between export probes on a separate connection; 0: none
    std::uint32_t connections = 1;            // simultaneous connections to a server
    LostCache lost_cache = LostCache::go_on;
    std::chrono::seconds shutdown_timeout{
        90};  // maximum wait for an unreachable server at shutdown; 0: wait for ever
    LeaseCare lease = LeaseCare::renew;

    bool operator==(const Policy&) const = default;
};

}  // namespace holdfast::client
