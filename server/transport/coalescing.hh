// How a connection waits whose client has many small requests in flight: until several have come, or some
// microseconds are over, so that they are received and answered together. A server that is as quick as its
// client would otherwise be woken by each of them, and would have each reply sent, acknowledged and looked at
// alone, on both sides. What network cards do with their interrupts (rx-frames and rx-usecs, ethtool(8)).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace holdfast::server {

// Whether it is worth while, and for how many. Where fewer than `many` are in flight it is not: the client
// would run out of what it can do meanwhile. That many are in flight shows when they come at a time, which
// is tried now and then by waiting for them.
class CoalesceHabit {
public:
    static constexpr std::uint32_t many = 12;
    static constexpr std::uint32_t half = many / 2;
    // Receives until the next trial after many were seen, and after a trial that failed: more and more then.
    static constexpr std::uint32_t next_trial = 512;
    static constexpr std::uint32_t first_pause = 64;
    static constexpr std::uint32_t longest_pause = 16'384;
    // How many waits in time make up for one that was late, and how many of those are too many.
    static constexpr int price = 8;
    static constexpr int most_credit = 4 * price;

    // For how many requests to wait next. 1: not for more than there is.
    [[nodiscard]] std::uint32_t wanted() const noexcept;
    // So many came then; `late`: fewer than wanted, when the time was over.
    void took(std::uint32_t requests, bool late) noexcept;

private:
    [[nodiscard]] bool tries() const noexcept { return pause_ == 0 && (on_ || several_); }
    void leave_off() noexcept;

    bool on_ = false;
    bool several_ = false;  // more than one came at a time, since the last trial
    bool crowded_ = false;  // they come together of themselves
    int credit_ = 0;        // gives meaning to on_
    std::uint32_t next_pause_ = first_pause;
    std::uint32_t pause_ = first_pause;  // receives until the next trial
};

// Of one connection, over TCP. (A UNIX socket is readable with the first byte.)
class Coalescing {
public:
    // At most `limit` is waited for more than one request. 0: never.
    Coalescing(int socket, std::chrono::microseconds limit) : socket_(socket), limit_(limit) {}

    // The last receive brought so many.
    void took(std::uint32_t requests) noexcept;
    // Waits until several requests are there, and says that something is there to be received; false: nothing
    // was waited for, or in vain. `each`: the size of a request in bytes.
    [[nodiscard]] bool wait(std::size_t each);
    // Any byte makes the socket readable again. To be called before it is waited for in another way.
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
