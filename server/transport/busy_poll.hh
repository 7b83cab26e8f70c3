// Busy polling for clients that send single requests in quick succession: checks the socket repeatedly for
// some microseconds before the thread sleeps. Waking a thread, and its processor, takes longer than answering
// from the page cache, and costs both sides. If polling did not help, it stops until the client has been
// quick for a while: the adaptation of KVM's halt polling (Documentation/virt/kvm/halt-polling.rst in Linux).
#pragma once

#include <atomic>
#include <chrono>

#include "common/linux/clock.hh"

namespace holdfast::server {

// Limits the number of connections that poll at a time: half the number of processors of this process, so
// none on a single processor. Safe to be used from any thread.
class PollSeats {
public:
    PollSeats();
    explicit PollSeats(int seats) : free_(seats) {}

    [[nodiscard]] bool take() noexcept;
    void give_back() noexcept { ++free_; }

private:
    std::atomic<int> free_;
};

// Decides whether to poll, from the preceding waits.
class PollHabit {
public:
    using Duration = std::chrono::nanoseconds;
    static constexpr int enough_short_waits = 8;

    // `limit` 0: never polls.
    explicit PollHabit(Duration limit) : limit_(limit) {}

    [[nodiscard]] Duration limit() const noexcept { return limit_; }
    [[nodiscard]] bool polls() const noexcept {
        return limit_ > Duration::zero() && short_waits_ >= enough_short_waits;
    }
    // Records the time until the client's next request arrived, including sleep.
    void waited(Duration time) noexcept;
    // Records that the client sends several requests at a time, which are better handled together.
    void several() noexcept { short_waits_ = 0; }

private:
    Duration limit_;
    int short_waits_ = 0;  // in a row
};

// Busy polling of one connection.
class BusyPoll {
public:
    // `seats` must outlive this object.
    BusyPoll(PollSeats& seats, std::chrono::microseconds limit) : seats_(seats), habit_(limit) {}

    // Call around the wait for the next request: begin(), then non-blocking receives while looks() returns
    // true, then, if nothing has arrived, a blocking receive; end() when data have arrived.
    void begin();
    [[nodiscard]] bool looks();
    void end();
    void several() noexcept { habit_.several(); }

private:
    void leave_seat() noexcept;

    PollSeats& seats_;
    PollHabit habit_;
    Clock::time_point began_{};
    bool seated_ = false;
    bool looked_ = false;  // valid only if seated_
};

}  // namespace holdfast::server
