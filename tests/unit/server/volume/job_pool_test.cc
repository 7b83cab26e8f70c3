// The threads of a volume. Jobs here wait for the test and not for a disk; nothing sleeps.
#include <doctest/doctest.h>
#include <poll.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <semaphore>
#include <vector>

#include "server/volume/job_pool.hh"

using namespace holdfast::server;

namespace {

// Jobs that are done when the test says so, and the order in which they began.
struct Disk {
    std::counting_semaphore<> begun{0};
    std::counting_semaphore<> go{0};
    std::mutex mutex;
    std::vector<int> order;
};

class DiskJob final : public Job {
public:
    DiskJob(Disk& disk, int name) : disk_(disk), name_(name) {}
    void work() noexcept override {
        {
            const std::lock_guard lock(disk_.mutex);
            disk_.order.push_back(name_);
        }
        disk_.begun.release();
        disk_.go.acquire();
    }

private:
    Disk& disk_;
    int name_;
};

// Waits as a connection does, until all are back.
std::size_t take_all(JobLane& lane) {
    std::size_t count = 0;
    while (lane.outstanding() > 0) {
        if (lane.begin_wait()) {
            pollfd one{lane.event(), POLLIN, 0};
            (void)::poll(&one, 1, -1);
            lane.end_wait();
        }
        count += lane.take_done().size();
    }
    return count;
}

}  // namespace

TEST_CASE("jobs of one lane wait for the disk together, up to the bound of threads") {
    Disk disk;
    JobPool pool;
    JobLane lane(pool);
    std::vector<std::unique_ptr<DiskJob>> jobs;
    for (int i = 0; i < 40; ++i) {
        jobs.push_back(std::make_unique<DiskJob>(disk, i));
        REQUIRE(lane.add(*jobs.back()));
    }
    for (std::size_t i = 0; i < JobPool::most_workers; ++i) disk.begun.acquire();
    CHECK(pool.workers() == JobPool::most_workers);
    CHECK_FALSE(disk.begun.try_acquire());
    CHECK(lane.take_done().empty());
    disk.go.release(40);
    CHECK(take_all(lane) == 40);
}

TEST_CASE("a disk that hangs holds none of another's threads") {
    Disk hanging;
    Disk good;
    JobPool hanging_pool;
    JobPool good_pool;
    JobLane hanging_lane(hanging_pool);
    JobLane good_lane(good_pool);
    std::vector<std::unique_ptr<DiskJob>> jobs;
    for (int i = 0; i < 40; ++i) {
        jobs.push_back(std::make_unique<DiskJob>(hanging, i));
        REQUIRE(hanging_lane.add(*jobs.back()));
    }
    DiskJob job(good, 0);
    good.go.release();
    REQUIRE(good_lane.add(job));
    CHECK(take_all(good_lane) == 1);
    CHECK(hanging_lane.outstanding() == 40);
    hanging.go.release(40);
    CHECK(take_all(hanging_lane) == 40);
}

TEST_CASE("lanes take turns, however many jobs one of them has queued") {
    Disk disk;
    JobPool pool;
    JobLane greedy(pool);
    JobLane modest(pool);
    std::vector<std::unique_ptr<DiskJob>> jobs;
    const auto add = [&](JobLane& lane, int name) {
        jobs.push_back(std::make_unique<DiskJob>(disk, name));
        REQUIRE(lane.add(*jobs.back()));
    };
    // All threads are busy; what comes now is queued.
    for (std::size_t i = 0; i < JobPool::most_workers; ++i) add(greedy, 0);
    for (std::size_t i = 0; i < JobPool::most_workers; ++i) disk.begun.acquire();
    for (int i = 0; i < 20; ++i) add(greedy, 1);
    add(modest, 2);
    disk.go.release();
    disk.begun.acquire();
    disk.go.release();
    disk.begun.acquire();
    {
        const std::lock_guard lock(disk.mutex);
        CHECK(disk.order[JobPool::most_workers] == 1);
        CHECK(disk.order[JobPool::most_workers + 1] == 2);
    }
    disk.go.release(100);
    CHECK(take_all(greedy) == JobPool::most_workers + 20);
    CHECK(take_all(modest) == 1);
}

TEST_CASE("threads go when they have had nothing to do for a while, and come again") {
    Disk disk;
    JobPool pool(std::chrono::milliseconds(1));
    JobLane lane(pool);
    disk.go.release(2);
    DiskJob first(disk, 1);
    REQUIRE(lane.add(first));
    CHECK(take_all(lane) == 1);
    while (pool.workers() > 0) (void)::poll(nullptr, 0, 1);
    DiskJob second(disk, 2);
    REQUIRE(lane.add(second));
    CHECK(take_all(lane) == 1);
}

TEST_CASE("a pool that nobody used, and one whose threads are idle, end at once") {
    { const JobPool unused; }
    Disk disk;
    JobPool pool;
    JobLane lane(pool);
    disk.go.release();
    DiskJob job(disk, 1);
    REQUIRE(lane.add(job));
    CHECK(take_all(lane) == 1);
    CHECK(pool.workers() == 1);
}
