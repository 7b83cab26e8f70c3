// Uses one lock per volume, held briefly and never while a job runs.

#include "server/volume/job_pool.hh"

#include <poll.h>
#include <sys/eventfd.h>

#include <utility>

#include "server/process/thread.hh"

namespace holdfast::server {

JobPool::~JobPool() {
    std::unique_lock lock(mutex_);
    ending_ = true;
    work_there_.notify_all();
    worker_gone_.wait(lock, [this] { return workers_ == 0; });
    join_those_that_left();
}

std::size_t JobPool::workers() const {
    const std::lock_guard lock(mutex_);
    return workers_;
}

// The threads have released the lock for the last time, or are about to: the joins hardly wait.
void JobPool::join_those_that_left() {
    for (const pthread_t thread : std::exchange(left_, {})) (void)::pthread_join(thread, nullptr);
}

bool JobPool::add(JobLane& lane, Job& job) {
    const std::lock_guard lock(mutex_);
    join_those_that_left();
    // A woken worker counts as idle until it takes its job, and that job as queued.
    if (queued_ >= idle_ && workers_ < most_workers) {
        if (start_thread(worker_main, this)) ++workers_;
    }
    if (workers_ == 0) return false;
    if (lane.queued_.empty()) turns_.push_back(&lane);
    lane.queued_.push_back(&job);
    ++queued_;
    work_there_.notify_one();
    return true;
}

void* JobPool::worker_main(void* self) {
    static_cast<JobPool*>(self)->work();
    return nullptr;
}

void JobPool::work() {
    std::unique_lock lock(mutex_);
    for (;;) {
        ++idle_;
        const bool called = work_there_.wait_for(lock, patience_, [this] { return queued_ > 0 || ending_; });
        --idle_;
        if (!called || queued_ == 0) break;
        JobLane& lane = *turns_.front();
        turns_.pop_front();
        Job& job = *lane.queued_.front();
        lane.queued_.pop_front();
        --queued_;
        if (!lane.queued_.empty()) turns_.push_back(&lane);
        lock.unlock();
        job.work();
        lock.lock();
        lane.done_.push_back(&job);
        // The lane may be destroyed as soon as the lock is released.
        if (std::exchange(lane.waiting_, false)) (void)::eventfd_write(lane.event_.get(), 1);
    }
    --workers_;
    left_.push_back(::pthread_self());
    worker_gone_.notify_all();
}

bool JobLane::add(Job& job) {
    if (!event_) event_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!event_ || !pool_.add(*this, job)) return false;
    ++outstanding_;
    return true;
}

std::vector<Job*> JobLane::take_done() {
    if (outstanding_ == 0) return {};
    const std::lock_guard lock(pool_.mutex_);
    outstanding_ -= done_.size();
    return std::exchange(done_, {});
}

bool JobLane::begin_wait() {
    const std::lock_guard lock(pool_.mutex_);
    waiting_ = done_.empty();
    return waiting_;
}

void JobLane::end_wait() noexcept {
    const std::lock_guard lock(pool_.mutex_);
    waiting_ = false;
    eventfd_t count = 0;
    (void)::eventfd_read(event_.get(), &count);
}

}  // namespace holdfast::server
