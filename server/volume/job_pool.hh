// Thread pools for operations that may wait for a disk, so that the other requests of a connection need not
// wait. Every volume has its own threads: a hanging disk blocks no threads of another disk. The threads use
// no socket, so a client that does not read cannot block them either.
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

// Unit of work. Owned by its creator, who must not touch the job between add() and take_done().
class Job {
public:
    virtual ~Job() = default;
    // Called in a thread of the pool; may block.
    virtual void work() noexcept = 0;
};

class JobLane;

// Threads of one volume. Threads start on demand, and end after an idle time. The lanes take turns, one job
// each, however many jobs a lane has queued.
class JobPool {
public:
    static constexpr std::size_t most_workers = 32;

    explicit JobPool(std::chrono::milliseconds patience = std::chrono::seconds(10)) : patience_(patience) {}
    JobPool(const JobPool&) = delete;
    JobPool& operator=(const JobPool&) = delete;
    // Waits for the threads. All lanes must have been destroyed.
    ~JobPool();

    [[nodiscard]] std::size_t workers() const;

private:
    friend class JobLane;

    [[nodiscard]] bool add(JobLane& lane, Job& job);
    static void* worker_main(void* self);
    void work();
    void join_those_that_left();

    const std::chrono::milliseconds patience_;
    mutable std::mutex mutex_;  // protects all members here and in the lanes
    std::condition_variable work_there_;
    std::condition_variable worker_gone_;
    std::list<JobLane*> turns_;  // lanes with queued jobs, next lane first
    std::size_t queued_ = 0;
    std::size_t workers_ = 0;
    std::size_t idle_ = 0;         // workers that wait for a job
    std::vector<pthread_t> left_;  // ended, not yet joined
    bool ending_ = false;
};

// Queue of a connection's jobs in the pool. Called only from the connection's thread.
class JobLane {
public:
    // The pool must outlive the lane.
    explicit JobLane(JobPool& pool) : pool_(pool) {}
    JobLane(const JobLane&) = delete;
    JobLane& operator=(const JobLane&) = delete;
    // No job may be outstanding.
    ~JobLane() = default;

    // Returns false if no thread or no descriptor is available: the caller then runs the job itself.
    [[nodiscard]] bool add(Job& job);
    // Number of jobs that are queued, running, or finished and not taken back.
    [[nodiscard]] std::size_t outstanding() const noexcept { return outstanding_; }
    // Finished jobs, in the order in which they finished.
    [[nodiscard]] std::vector<Job*> take_done();

    // Prepares a wait; false if a job has finished already. Otherwise event() becomes readable as soon as a
    // job has finished; call end_wait() afterwards.
    [[nodiscard]] bool begin_wait();
    [[nodiscard]] int event() const noexcept { return event_.get(); }
    void end_wait() noexcept;

private:
    friend class JobPool;

    JobPool& pool_;
    Fd event_;                     // eventfd, created with the first job
    std::size_t outstanding_ = 0;  // used only by the owner's thread
    // Under the mutex of `pool_`:
    std::deque<Job*> queued_;
    std::vector<Job*> done_;
    bool waiting_ = false;
};

}  // namespace holdfast::server
