// Prepares a connected device before it is reported ready: timers, size, partitions.
#pragma once

#include <cstdint>
#include <string>

#include "client/attach/child_process.hh"

namespace holdfast::client {

// Values to set or to wait for.
struct Settings {
    std::uint64_t size = 0;
    std::uint64_t request_limit = 0;  // bytes: the largest read or write; 0: leave the kernel's value
    bool own_timer = false;           // the administrator has chosen no request timer
};

// Returns an empty text when the device has its largest request, its size and the nodes of its partitions,
// else the problem. Ends in bounded time: a child that reads from the device sleeps uninterruptibly, and is
// left behind.
[[nodiscard]] std::string settle_in_time(std::uint32_t index, const Settings& settings, const Notes& notes);

}  // namespace holdfast::client
