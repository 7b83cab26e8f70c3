// The clock of all deadlines: CLOCK_MONOTONIC, which stands still while the machine is suspended. Pure.
#pragma once

#include <chrono>

namespace holdfast {

using Clock = std::chrono::steady_clock;

}  // namespace holdfast
