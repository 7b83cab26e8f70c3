// Whoever else wants the processor has it between two looks.

#include "server/busy_poll.hh"

#include <poll.h>
#include <sched.h>

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

void BusyPoll::before_wait(int socket) {
    began_ = Clock::now();
    if (!habit_.polls() || !seats_.take()) return;
    pollfd one{socket, POLLIN, 0};
    while (::poll(&one, 1, 0) == 0 && Clock::now() - began_ < habit_.limit()) (void)::sched_yield();
    seats_.give_back();
}

void BusyPoll::after_wait() { habit_.waited(Clock::now() - began_); }

}  // namespace holdfast::server
