// What is done with a device between its connection and the word that it is ready: its timers, its size, its
// partitions.
#pragma once

#include <cstdint>
#include <string>

#include "client/attach/background.hh"

namespace holdfast::client {

// What the device is to have.
struct Settings {
    std::uint64_t size = 0;
    std::uint64_t request_limit = 0;  // bytes: the largest read or write; 0: whatever the kernel has
    bool own_timer = false;           // the administrator has chosen no timer for its requests
};

// Empty when the device has its largest request, its size and the nodes of its partitions, else what is
// wrong. Ends in bounded time: what reads from the device sleeps where no signal reaches it, and is left
// behind.
[[nodiscard]] std::string settle_in_time(std::uint32_t index, const Settings& settings, const Notes& notes);

}  // namespace holdfast::client
