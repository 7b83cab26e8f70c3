// The link as the daemon's other parts see it.
#pragma once

#include <chrono>
#include <cstdint>

namespace holdfast::client {

struct LinkView {
    bool has_link = false;                  // the kernel has, or was given, a link
    bool proved = false;                    // the kernel is known to use the link
    bool older_links = false;               // the kernel may use an older link
    int descriptor = -1;                    // socket of the link; -1: none
    std::uint64_t acknowledged_before = 0;  // bytes acknowledged when the kernel got the socket
    std::chrono::milliseconds stalled{0};   // time without an answered request while requests are in flight
    std::chrono::milliseconds longest_stall{0};  // longest such time since the attach
};

}  // namespace holdfast::client
