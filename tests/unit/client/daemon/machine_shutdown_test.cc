// End of a machine whose server is unreachable; the machine, its kernel and its clock are the test's own.
#include "client/daemon/machine_shutdown.hh"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <utmp.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <optional>

#include "client/link/link_health.hh"
#include "tests/unit/client/daemon/fake_kernel.hh"
#include "tests/unit/socket_pair.hh"

using namespace holdfast;
using namespace holdfast::client;
using std::chrono::seconds;

namespace {

class FakeMachine final : public Machine {
public:
    explicit FakeMachine(Events& events) : events_(events) {}
    void sync_in_the_background() noexcept override { events_.emplace_back("machine: sync"); }
    void pause(seconds duration) noexcept override {
        events_.push_back("machine: pause " + std::to_string(duration.count()));
    }
    void end(Ending ending) noexcept override {
        events_.push_back(std::string("machine: end, ") + word_of(ending));
    }

private:
    Events& events_;
};

// A machine with System V init, whose runlevel says that it shuts down. Its disk cannot be read: the folder
// of device nodes is empty, so that each read fails.
struct Bench {
    explicit Bench(bool carries_root = true, seconds timeout = seconds{30}, bool may_be_lost = false)
        : device(make_device(carries_root, timeout, may_be_lost)) {
        std::string pattern = "/tmp/holdfast-shutdown-XXXXXX";
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        folder = pattern;
        std::filesystem::create_directories(folder / "proc/1");
        std::ofstream(folder / "proc/1/comm") << "init\n";
        shutdown.open(ShutdownDetection::open(folder.c_str(), (folder / "proc").c_str()));
    }
    ~Bench() {
        // A child that reads the disk ends once there is a writer.
        for (int tries = 0; disk_hangs_ && tries < 1000 && ::waitpid(-1, nullptr, WNOHANG) >= 0; ++tries) {
            const Fd writer(::open((folder / "nbd7").c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
            ::poll(nullptr, 0, 10);
        }
        std::filesystem::remove_all(folder);
    }
    // Reads of the disk wait: a FIFO in place of the device.
    void disk_hangs() {
        REQUIRE(::mkfifo((folder / "nbd7").c_str(), 0600) == 0);
        proof = DiskProof::open(7, folder.c_str());
        disk_hangs_ = true;
    }

    static KeptDevice make_device(bool carries_root, seconds timeout, bool may_be_lost) {
        KeptDevice device = fake_device();
        DeviceRecord record = device.record;
        record.carries_root = carries_root;
        record.may_be_lost = may_be_lost;
        record.policy.shutdown_timeout = timeout;
        return {std::move(record), device.live};
    }

    void runlevel(char level) const {
        utmp entry{};
        entry.ut_type = RUN_LVL;
        entry.ut_pid = 'N' * 256 + level;
        std::ofstream file(folder / "utmp", std::ios::binary);
        file.write(reinterpret_cast<const char*>(&entry), sizeof entry);
    }
    // Looks once a second; returns the second in which the daemon must leave.
    std::optional<int> leaves_within(int limit) {
        for (int second = 0; second <= limit; ++second, kernel.time += seconds{1})
            if (shutdown.look(link, kernel.time)) return second;
        return std::nullopt;
    }

    bool disk_hangs_ = false;
    std::filesystem::path folder;
    Events events;
    FakeKernel kernel{events};
    FakeStore store{events};
    FakeMachine machine{events};
    KeptDevice device;
    EventLoop loop;
    LinkLog log{device};
    QueueLimits limits{kernel, device};
    LinksInUse links{kernel, device, loop, store};
    DeviceRelease release{kernel, device, store, links, log, limits};
    DiskProof proof = DiskProof::open(7, "/nonexistent");
    LinkView link;
    MachineShutdown shutdown{kernel, device, release, proof, machine};
};

}  // namespace

TEST_CASE("a machine that does not shut down waits for its server without a limit") {
    Bench bench;
    bench.runlevel('2');
    CHECK_FALSE(bench.leaves_within(1000));
    CHECK(bench.events.empty());
}

TEST_CASE("a shutdown without the server gives the device up, and then ends the machine") {
    Bench bench;
    bench.runlevel('6');
    // The machine is off after 30 s, 10 s of which are the system's own chance.
    CHECK(bench.leaves_within(100) == 20);
    CHECK(bench.events ==
          Events{"kernel: release", "machine: sync", "machine: pause 10", "machine: end, reboot"});
}

TEST_CASE("a machine whose root disk is elsewhere ends by itself") {
    Bench bench(false);
    bench.runlevel('0');
    CHECK(bench.leaves_within(100) == 20);
    CHECK(bench.events == Events{"kernel: release"});
}

TEST_CASE("a machine whose root file system works without the lost disk ends by itself") {
    Bench bench(true, seconds{30}, true);
    bench.runlevel('0');
    CHECK(bench.leaves_within(100) == 20);
    CHECK(bench.events == Events{"kernel: release"});
}

TEST_CASE("a device that the kernel does not release is tried three times, and the machine ends anyway") {
    Bench bench;
    bench.runlevel('0');
    bench.kernel.error = EBUSY;
    CHECK(bench.leaves_within(100) == 20);
    CHECK(bench.events == Events{"kernel: release", "machine: pause 1", "kernel: release", "machine: pause 1",
                                 "kernel: release", "machine: sync", "machine: pause 10",
                                 "machine: end, poweroff"});
}

TEST_CASE("the device of another daemon is left alone") {
    Bench bench;
    bench.runlevel('0');
    bench.kernel.ours = false;
    CHECK(bench.leaves_within(100) == 20);
    CHECK(bench.events.empty());
}

TEST_CASE("a working disk is never given up, whatever proves that it works") {
    Bench bench;
    bench.runlevel('0');
    SUBCASE("the kernel is known to use the link") {
        bench.disk_hangs();
        bench.link = {.has_link = true, .proved = true};
    }
    // A read that fails at once was not silent.
    SUBCASE("the link is up, and nothing says that the server is away") { bench.link = {.has_link = true}; }
    CHECK_FALSE(bench.leaves_within(1000));
    CHECK(bench.events.empty());
}

TEST_CASE("requests that complete prove the disk without a link") {
    Bench bench;
    bench.runlevel('0');
    for (int second = 0; second < 100; ++second, bench.kernel.time += seconds{1}) {
        ++bench.kernel.completed.requests;
        CHECK_FALSE(bench.shutdown.look(bench.link, bench.kernel.time));
    }
}

TEST_CASE("a disk that is silent works while its server receives requests on the link, and only then") {
    Bench bench;
    bench.runlevel('0');
    bench.disk_hangs();
    const Pair pair = connected();
    bench.link = {.has_link = true, .descriptor = pair.ours.get()};
    SUBCASE("a slow server") {
        REQUIRE(::send(pair.ours.get(), "request", 7, MSG_NOSIGNAL) == 7);
        while (health_of(pair.ours.get())->acknowledged < 7) ::poll(nullptr, 0, 1);
        CHECK_FALSE(bench.leaves_within(1000));
        CHECK(bench.events.empty());
    }
    SUBCASE("nothing was received since the kernel got the link") {
        bench.link.acknowledged_before = health_of(pair.ours.get())->acknowledged;
        CHECK(bench.leaves_within(100));
    }
    SUBCASE("a link that is down") {
        bench.link.has_link = false;
        CHECK(bench.leaves_within(100));
    }
}

TEST_CASE("a silent disk whose requests are not counted may have some in flight, and is not given up") {
    Bench bench;
    bench.runlevel('0');
    bench.disk_hangs();
    std::array<int, 2> ends{};  // a UNIX socket has no counters, either
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    const Fd ours(ends[0]);
    const Fd peer(ends[1]);
    bench.link = {.has_link = true, .descriptor = ours.get()};
    SUBCASE("not counted") {
        bench.kernel.counts = false;
        CHECK_FALSE(bench.leaves_within(1000));
    }
    SUBCASE("counted, and none") { CHECK(bench.leaves_within(100)); }
}

TEST_CASE("a disk is not given up before its first read has had its time") {
    Bench bench(false, seconds{3});
    bench.runlevel('0');
    bench.disk_hangs();
    // Given up after two seconds otherwise.
    CHECK(bench.leaves_within(100) == 4);
}
