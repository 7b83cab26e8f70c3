// Uses SO_RCVLOWAT to let the kernel count: the thread is not woken before the bytes have arrived.

#include "server/transport/coalescing.hh"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>

namespace holdfast::server {

std::uint32_t CoalesceHabit::wanted() const noexcept {
    if (tries()) return many;
    return on_ && !crowded_ ? half : 1;
}

void CoalesceHabit::took(std::uint32_t requests, bool late) noexcept {
    crowded_ = requests >= many;
    several_ = several_ || requests > 1;
    const bool tried = tries();
    if (pause_ > 0) --pause_;
    if (requests >= many) {
        if (!on_) credit_ = most_credit;
        on_ = true;
        next_pause_ = first_pause;
        pause_ = next_trial;
    } else if (tried) {
        leave_off();
    } else if (on_) {
        credit_ = std::min(credit_ + (late ? -price : 1), most_credit);
        if (credit_ < 0) leave_off();
    }
}

void CoalesceHabit::leave_off() noexcept {
    on_ = several_ = false;
    pause_ = next_pause_;
    next_pause_ = std::min(2 * next_pause_, longest_pause);
}

void Coalescing::took(std::uint32_t requests) noexcept {
    if (requests == 0) return;
    habit_.took(requests, late_);
    late_ = false;
}

bool Coalescing::wait(std::size_t each) {
    const std::uint32_t wanted = limit_.count() > 0 ? habit_.wanted() : 1;
    if (wanted < 2) {
        off();
        return false;
    }
    set_low_water(static_cast<int>(wanted * each));
    pollfd one{socket_, POLLIN, 0};
    const timespec time{.tv_sec = limit_.count() / 1'000'000'000, .tv_nsec = limit_.count() % 1'000'000'000};
    if (::ppoll(&one, 1, &time, nullptr) != 0) return true;
    off();
    late_ = true;
    return false;
}

void Coalescing::set_low_water(int bytes) {
    if (bytes == low_water_) return;
    low_water_ = bytes;
    (void)::setsockopt(socket_, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
}

}  // namespace holdfast::server
