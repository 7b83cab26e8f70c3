// Threads for what may have to wait for a disk, so that a connection's other requests need not wait with it.
// Every volume has threads of its own: a disk that hangs holds none of another's. They touch no socket, so a
// client that does not read holds none of them either.
#pragma once

#include <pthread.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <list>
#include <mutex>
#include <vector>

#include "common/linux/fd.hh"

namespace holdfast::server {

// One thing to be done. Belongs to whoever made it, who leaves it alone until it has it back.
class Job {
public:
    virtual ~Job() = default;
    // In a thread of the pool; may block.
    virtual void work() noexcept = 0;
};

class JobLane;

// The threads of one volume. They come as they are needed, and go when they have had nothing to do for a
// while. The lanes have their turns, one job each, whatever a lane has queued.
class JobPool {
public:
    static constexpr std::size_t most_workers = 32;

    explicit JobPool(std::chrono::milliseconds patience = std::chrono::seconds(10)) : patience_(patience) {}
    JobPool(const JobPool&) = delete;
    JobPool& operator=(const JobPool&) = delete;
    // Waits for the threads. There are no lanes any more.
    ~JobPool();

    [[nodiscard]] std::size_t workers() const;

private:
    friend class JobLane;

    [[nodiscard]] bool add(JobLane& lane, Job& job);
    static void* worker_main(void* self);
    void work();
    void join_those_that_left();

    const std::chrono::milliseconds patience_;
    mutable std::mutex mutex_;  // of everything here, and of the lanes
    std::condition_variable work_there_;
    std::condition_variable worker_gone_;
    std::list<JobLane*> turns_;  // the lanes that have jobs queued; the first is the next
    std::size_t queued_ = 0;
    std::size_t workers_ = 0;
    std::size_t idle_ = 0;         // those of them that wait for work
    std::vector<pthread_t> left_;  // have ended, and are still to be joined
    bool ending_ = false;
};

// A connection's way into the pool and back. All of it is called from the connection's thread.
class JobLane {
public:
    // The pool must outlive the lane.
    explicit JobLane(JobPool& pool) : pool_(pool) {}
    JobLane(const JobLane&) = delete;
    JobLane& operator=(const JobLane&) = delete;
    // Nothing is outstanding any more.
    ~JobLane() = default;

    // False when no thread and no descriptor is to be had: then the caller does it itself.
    [[nodiscard]] bool add(Job& job);
    // How many are queued, being done, or done and not taken back.
    [[nodiscard]] std::size_t outstanding() const noexcept { return outstanding_; }
    // Those that are done, in the order in which they were.
    [[nodiscard]] std::vector<Job*> take_done();

    // Before waiting: false when something is done already. Otherwise event() becomes readable as soon as
    // something is; end_wait() afterwards.
    [[nodiscard]] bool begin_wait();
    [[nodiscard]] int event() const noexcept { return event_.get(); }
    void end_wait() noexcept;

private:
    friend class JobPool;

    JobPool& pool_;
    Fd event_;                     // an eventfd, from the first job on
    std::size_t outstanding_ = 0;  // the owner's
    // Under the mutex of `pool_`:
    std::deque<Job*> queued_;
    std::vector<Job*> done_;
    bool waiting_ = false;
};

}  // namespace holdfast::server
