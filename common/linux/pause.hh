// Sleeps for the full given time, despite signals. May be used after the seal.
#pragma once

#include <time.h>

#include <chrono>

namespace holdfast {

inline void pause_for(std::chrono::milliseconds duration) noexcept {
    timespec left{duration.count() / 1000, duration.count() % 1000 * 1'000'000};
    while (::nanosleep(&left, &left) != 0) {
    }
}

}  // namespace holdfast
