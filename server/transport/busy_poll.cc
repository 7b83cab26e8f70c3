// Yields the processor to other threads between two polls.

#include "server/transport/busy_poll.hh"

#include <sched.h>

#include <utility>

namespace holdfast::server {

PollSeats::PollSeats() : free_(0) {
    cpu_set_t processors;
    if (::sched_getaffinity(0, sizeof processors, &processors) == 0) free_ = CPU_COUNT(&processors) / 2;
}

bool PollSeats::take() noexcept {
    int free = free_;
    while (free > 0) {
        if (free_.compare_exchange_weak(free, free - 1)) return true;
    }
    return false;
}

void PollHabit::waited(Duration time) noexcept {
    if (time > limit_) {
        short_waits_ = 0;
    } else if (short_waits_ < enough_short_waits) {
        ++short_waits_;
    }
}

void BusyPoll::begin() {
    began_ = Clock::now();
    looked_ = false;
    seated_ = habit_.polls() && seats_.take();
}

bool BusyPoll::looks() {
    if (!seated_) return false;
    if (!std::exchange(looked_, true)) return true;
    (void)::sched_yield();
    if (Clock::now() - began_ < habit_.limit()) return true;
    leave_seat();
    return false;
}

void BusyPoll::end() {
    leave_seat();
    habit_.waited(Clock::now() - began_);
}

void BusyPoll::leave_seat() noexcept {
    if (std::exchange(seated_, false)) seats_.give_back();
}

}  // namespace holdfast::server
