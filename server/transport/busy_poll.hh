// How a connection waits whose client sends one request at a time and is quick about it: by looking at the
// socket again and again for some microseconds before it sleeps. Waking a thread, and the processor under it,
// takes longer than answering from the page cache, and is paid for on both sides. Where looking did not help,
// it is left off until the client has been quick for a while: the adaptation of KVM's halt polling
// (Documentation/virt/kvm/halt-polling.rst in Linux).
#pragma once

#include <atomic>
#include <chrono>

namespace holdfast::server {

// How many connections may look at a time: half as many as there are processors for this process, so that
// none does where there is only one. Safe to be used from any thread.
class PollSeats {
public:
    PollSeats();
    explicit PollSeats(int seats) : free_(seats) {}

    [[nodiscard]] bool take() noexcept;
    void give_back() noexcept { ++free_; }

private:
    std::atomic<int> free_;
};

// Whether it is worth while, judged by the waits so far.
class PollHabit {
public:
    using Duration = std::chrono::nanoseconds;
    static constexpr int enough_short_waits = 8;

    // 0: never.
    explicit PollHabit(Duration limit) : limit_(limit) {}

    [[nodiscard]] Duration limit() const noexcept { return limit_; }
    [[nodiscard]] bool polls() const noexcept {
        return limit_ > Duration::zero() && short_waits_ >= enough_short_waits;
    }
    // How long it took until the client's next request was there, sleep included.
    void waited(Duration time) noexcept;
    // The client sends several at a time: better taken up together than one after the other.
    void several() noexcept { short_waits_ = 0; }

private:
    Duration limit_;
    int short_waits_ = 0;  // in a row
};

// Of one connection.
class BusyPoll {
public:
    // The seats must outlive it.
    BusyPoll(PollSeats& seats, std::chrono::microseconds limit) : seats_(seats), habit_(limit) {}

    // Around the wait for the next request: begin(), then receives that do not wait for as long as looks()
    // says so, then, where nothing has come, one that waits; and end() when something has come.
    void begin();
    [[nodiscard]] bool looks();
    void end();
    void several() noexcept { habit_.several(); }

private:
    using Clock = std::chrono::steady_clock;

    void leave_seat() noexcept;

    PollSeats& seats_;
    PollHabit habit_;
    Clock::time_point began_{};
    bool seated_ = false;
    bool looked_ = false;  // gives meaning to seated_
};

}  // namespace holdfast::server
