// What is done with a device between its connection and the word that it is ready: its timers, its size, its
// partitions.
#pragma once

#include <cstdint>
#include <string>

#include "client/background.hh"

namespace holdfast::client {

// Empty when the device has its size and the nodes of its partitions, else what is wrong. Ends in bounded
// time: what reads from the device sleeps where no signal reaches it, and is left behind. `own_timer`: the
// administrator has chosen no timer for its requests.
[[nodiscard]] std::string settle_in_time(std::uint32_t index, std::uint64_t size, bool own_timer,
                                         const Notes& notes);

}  // namespace holdfast::client
