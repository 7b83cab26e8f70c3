// Receive coalescing for clients with many small requests in flight: waits until several requests have
// arrived, or some microseconds have passed, so that they are received and answered together. Otherwise a
// server as quick as its client would be woken by each request, and each reply would be sent, acknowledged
// and processed alone, on both sides. Network cards coalesce interrupts in the same way (rx-frames and
// rx-usecs, ethtool(8)).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace holdfast::server {

// Decides whether to wait, and for how many requests. With fewer than `many` requests in flight waiting is
// useless: the client would run out of work meanwhile. The number in flight shows when requests arrive
// together, which is tested now and then by waiting for them.
class CoalesceHabit {
public:
    static constexpr std::uint32_t many = 12;
    static constexpr std::uint32_t half = many / 2;
    // Receives until the next trial: after a trial that found many requests, and after a failed trial, with
    // increasing pauses.
    static constexpr std::uint32_t next_trial = 512;
    static constexpr std::uint32_t first_pause = 64;
    static constexpr std::uint32_t longest_pause = 16'384;
    // Number of timely waits that compensate for a late wait, and maximum credit: four late waits.
    static constexpr int price = 8;
    static constexpr int most_credit = 4 * price;

    // Number of requests to wait for next. 1: no coalescing.
    [[nodiscard]] std::uint32_t wanted() const noexcept;
    // Records the number of requests that arrived; `late`: fewer than wanted at the timeout.
    void took(std::uint32_t requests, bool late) noexcept;

private:
    [[nodiscard]] bool tries() const noexcept { return pause_ == 0 && (on_ || several_); }
    void leave_off() noexcept;

    bool on_ = false;
    bool several_ = false;  // several requests arrived at a time, since the last trial
    bool crowded_ = false;  // requests arrive together without waiting
    int credit_ = 0;        // valid only if on_
    std::uint32_t next_pause_ = first_pause;
    std::uint32_t pause_ = first_pause;  // receives until the next trial
};

// Coalescing for one connection, over TCP. (A UNIX socket is readable with the first byte.)
class Coalescing {
public:
    // `limit`: maximum wait for more than one request. 0: never waits.
    Coalescing(int socket, std::chrono::microseconds limit) : socket_(socket), limit_(limit) {}

    // Records the number of requests of the last receive.
    void took(std::uint32_t requests) noexcept;
    // Waits until several requests have arrived, and returns true if there is data to receive; false: did not
    // wait, or the wait timed out. `each`: the size of a request in bytes.
    [[nodiscard]] bool wait(std::size_t each);
    // Makes the socket readable at any byte again. Call before any other kind of wait.
    void off() { set_low_water(1); }

private:
    void set_low_water(int bytes);

    int socket_;
    std::chrono::nanoseconds limit_;
    CoalesceHabit habit_;
    bool late_ = false;
    int low_water_ = 1;  // SO_RCVLOWAT, see socket(7)
};

}  // namespace holdfast::server
