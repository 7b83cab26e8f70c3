// Probe of the export and growth of the device, with a server on loopback, and a kernel and a clock of the
// test's own.
#include "client/daemon/export_probe.hh"

#include <doctest/doctest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "client/daemon/request_timer.hh"
#include "common/linux/pause.hh"
#include "tests/unit/client/daemon/fake_kernel.hh"
#include "tests/unit/client/daemon/fake_server.hh"
#include "tests/unit/socket_pair.hh"

using namespace holdfast;
using namespace holdfast::client;
using std::chrono::seconds;

namespace {

constexpr std::uint64_t mebibyte = 1 << 20;

struct Bench final : Answers {
    explicit Bench(seconds interval = seconds{10}) : device(make_device(server.target, interval)) {
        sigset_t before{};
        ::sigprocmask(SIG_SETMASK, nullptr, &before);
        REQUIRE(loop.open());
        ::sigprocmask(SIG_SETMASK, &before, nullptr);
        device.live.session_known = true;
        probe.end(kernel.time);
    }
    virtual ~Bench() = default;
    static KeptDevice make_device(const Target& target, seconds interval) {
        KeptDevice device = fake_device();
        DeviceRecord record = device.record;
        record.targets = {target};
        record.policy.probe_interval = interval;
        return {std::move(record), device.live};
    }
    void answer(std::size_t slot, std::string_view text) noexcept override { answers[slot] = text; }

    // Lets server and probe talk until the probe has ended.
    ExportProbe::Outcome finish(ExportProbe::Outcome outcome) {
        for (int i = 0; i < 100 && outcome == ExportProbe::Outcome::none && probe.deadline() == running();
             ++i) {
            server.serve();
            outcome = probe.advance(link(), kernel.time);
        }
        return outcome;
    }
    ExportProbe::Outcome probe_for(std::size_t slot) {
        return finish(probe.start_for(slot, link(), kernel.time));
    }
    // Deadline of a probe that has started now.
    Clock::time_point running() const { return kernel.time + attempt_patience; }
    LinkView link() const {
        return {.has_link = true, .proved = true, .descriptor = pair.ours.get(), .stalled = stalled};
    }

    FakeServer server;
    Pair pair = connected();
    Events events;
    FakeKernel kernel{events};
    FakeStore store{events};
    KeptDevice device;
    EventLoop loop;
    LinkLog log{device};
    DiskProof proof = DiskProof::open(7, "/nonexistent");
    std::chrono::milliseconds stalled{0};
    std::map<std::size_t, std::string> answers;
    DeviceGrowth growth{kernel, device, store, proof, *this};
    ExportProbe probe{kernel, device, loop, log, growth, *this};
};

using Outcome = ExportProbe::Outcome;

}  // namespace

TEST_CASE("the export is probed in the interval of the configuration, and only while there is a link") {
    Bench bench;
    CHECK(bench.probe.deadline() == bench.kernel.time + seconds{10});
    CHECK(bench.probe.on_timer(bench.link(), bench.kernel.time) == Outcome::none);
    bench.kernel.time += seconds{10};
    CHECK(bench.probe.on_timer({}, bench.kernel.time) == Outcome::none);
    bench.server.serve();
    CHECK(bench.server.peers.empty());
    CHECK(bench.finish(bench.probe.on_timer(bench.link(), bench.kernel.time)) == Outcome::none);
    CHECK(bench.server.looks == 1);
    CHECK(bench.probe.deadline() == bench.kernel.time + seconds{10});
}

TEST_CASE("without an interval the export is probed for callers only") {
    Bench bench(seconds{0});
    CHECK(bench.probe.deadline() == Clock::time_point::max());
    CHECK(bench.probe_for(1) == Outcome::none);
    CHECK(bench.answers[1] == "ok 1048576\n");
    CHECK(bench.probe.deadline() == Clock::time_point::max());
}

TEST_CASE(
    "a machine is unreachable after two probes without an answer, if the link received nothing either") {
    SilentProbes probes;
    constexpr seconds dead_after{15};
    LinkHealth health;
    health.received = 100;
    health.last_acknowledgement = dead_after;
    CHECK_FALSE(probes.see(true, 100, health, dead_after));
    SUBCASE("two in a row, and counted anew") {
        CHECK(probes.see(true, 100, health, dead_after));
        CHECK_FALSE(probes.see(true, 100, health, dead_after));
    }
    SUBCASE("an answer between them") {
        CHECK_FALSE(probes.see(false, 100, health, dead_after));
        CHECK_FALSE(probes.see(true, 100, health, dead_after));
    }
    SUBCASE("the link received an answer meanwhile") {
        CHECK_FALSE(probes.see(true, 99, health, dead_after));
        CHECK_FALSE(probes.see(true, 100, health, dead_after));
    }
    SUBCASE("a keepalive was acknowledged within dead-after") {
        health.last_acknowledgement = dead_after - std::chrono::milliseconds{1};
        CHECK_FALSE(probes.see(true, 100, health, dead_after));
    }
    SUBCASE("a dead-after below the time of a probe") {
        health.last_acknowledgement = attempt_patience - std::chrono::milliseconds{1};
        CHECK_FALSE(probes.see(true, 100, health, seconds{5}));
    }
}

TEST_CASE("a caller learns the size, a smaller export, a refusal, or that the probe was ended") {
    Bench bench;
    SUBCASE("same size") {
        CHECK(bench.probe_for(2) == Outcome::none);
        CHECK(bench.answers[2] == "ok 1048576\n");
    }
    SUBCASE("smaller") {
        bench.server.offer.size = 4096;
        CHECK(bench.probe_for(2) == Outcome::none);
        CHECK(bench.answers[2] == "error the export now has 4096 bytes, the device needs 1048576\n");
        CHECK_FALSE(bench.device.live.last_error.empty());
    }
    SUBCASE("refused") {
        bench.server.refuses = true;
        CHECK(bench.probe_for(2) == Outcome::none);
        CHECK(bench.answers[2].starts_with("error refused:"));
    }
    SUBCASE("ended") {
        CHECK(bench.probe.start_for(2, bench.link(), bench.kernel.time) == Outcome::none);
        bench.probe.end(bench.kernel.time);
        CHECK(bench.answers[2] == "error the export could not be probed\n");
    }
    CHECK_FALSE(bench.probe.caller().exists());
}

TEST_CASE("a larger export is a reason for a new link, once for each size unless a caller asks") {
    Bench bench;
    bench.server.offer.size = 2 * mebibyte;
    CHECK(bench.finish(bench.probe.start(bench.link(), bench.kernel.time)) == Outcome::grown);
    // The new link names the old size: nothing to grow to.
    bench.growth.link_established(mebibyte);
    CHECK(bench.finish(bench.probe.start(bench.link(), bench.kernel.time)) == Outcome::none);
    CHECK(bench.probe_for(1) == Outcome::grown);
    CHECK(bench.growth.caller().is(1));
    CHECK(bench.answers.empty());
}

TEST_CASE("requests that wait, or that the server would not keep out, prevent the new link") {
    Bench bench;
    bench.server.offer.size = 2 * mebibyte;
    bench.kernel.requests_in_flight = 1;
    SUBCASE("the server fences") { CHECK(bench.probe_for(1) == Outcome::grown); }
    SUBCASE("the server does not fence, and the kernel does not count") {
        bench.device.live.session_known = false;
        bench.kernel.requests_in_flight = 0;
        bench.kernel.counts = false;
        CHECK(bench.probe_for(1) == Outcome::none);
        CHECK(bench.answers[1].find("write 1 to /sys/block/nbd7/queue/iostats") != std::string::npos);
    }
    SUBCASE("the server does not fence") {
        bench.device.live.session_known = false;
        CHECK(bench.probe_for(1) == Outcome::none);
        CHECK(bench.answers[1] ==
              "error requests are in flight, which this server cannot fence; try again\n");
    }
    SUBCASE("they wait") {
        bench.stalled = seconds{2};
        CHECK(bench.probe_for(1) == Outcome::none);
        CHECK(bench.answers[1] ==
              "error requests are waiting for the server; try again once they are answered\n");
    }
}

TEST_CASE("a server that accepts and says nothing fails the probe, but its machine is not silent") {
    Bench bench;
    for (int i = 0; i < 5; ++i) {
        CHECK(bench.probe.start(bench.link(), bench.kernel.time) == Outcome::none);
        CHECK(bench.probe.advance(bench.link(), bench.kernel.time) == Outcome::none);
        bench.kernel.time += seconds{10};
        CHECK(bench.probe.on_timer(bench.link(), bench.kernel.time) == Outcome::none);
        CHECK(bench.probe.deadline() == bench.kernel.time + seconds{10});
    }
}

TEST_CASE("the device grows on an idle link that is proved, and its caller is answered") {
    Bench bench;
    bench.server.offer.size = 2 * mebibyte;
    REQUIRE(bench.probe_for(1) == Outcome::grown);
    bench.growth.link_lost();
    bench.growth.link_established(2 * mebibyte);
    CHECK(bench.growth.is_due());
    LinkView link = bench.link();
    link.proved = false;
    bench.growth.advance(link, bench.kernel.time);
    CHECK(bench.events.empty());
    bench.kernel.device_size = 2 * mebibyte;
    bench.growth.advance(bench.link(), bench.kernel.time);
    CHECK(bench.events == Events{"kernel: size 2097152", "record: saved"});
    CHECK(bench.device.live.size == 2 * mebibyte);
    CHECK(bench.answers[1] == "ok 2097152\n");
    CHECK_FALSE(bench.growth.is_due());
}

TEST_CASE("a size that the kernel does not take is an error, and the device keeps its size") {
    Bench bench;
    bench.server.offer.size = 2 * mebibyte;
    REQUIRE(bench.probe_for(1) == Outcome::grown);
    bench.growth.link_established(2 * mebibyte);
    SUBCASE("refused") { bench.kernel.error = EINVAL; }
    SUBCASE("accepted without effect") { bench.kernel.device_size = mebibyte; }
    bench.growth.advance(bench.link(), bench.kernel.time);
    CHECK(bench.events == Events{"kernel: size 2097152"});
    CHECK(bench.device.live.size == mebibyte);
    CHECK(bench.answers[1].starts_with("error "));
}

TEST_CASE("a caller waits forty seconds for the growth, with or without a link") {
    Bench bench;
    bench.server.offer.size = 2 * mebibyte;
    REQUIRE(bench.probe_for(1) == Outcome::grown);
    bench.growth.link_lost();
    bench.growth.advance({}, bench.kernel.time + std::chrono::milliseconds{39'999});
    CHECK(bench.answers.empty());
    bench.growth.advance({}, bench.kernel.time + seconds{40});
    CHECK(bench.answers[1] == "error the new link is not established yet; the device grows once it is\n");
    CHECK_FALSE(bench.growth.caller().exists());
}

TEST_CASE("a periodic probe does not drop the caller that waits for the growth") {
    Bench bench;
    bench.server.offer.size = 2 * mebibyte;
    REQUIRE(bench.probe_for(1) == Outcome::grown);
    bench.growth.link_established(2 * mebibyte);
    REQUIRE(bench.growth.is_due());
    bench.kernel.time = bench.probe.deadline();
    bench.finish(bench.probe.on_timer(bench.link(), bench.kernel.time));
    CHECK(bench.growth.caller().is(1));
    CHECK(bench.answers.empty());
}

TEST_CASE("a busy device over a UNIX socket grows as soon as its requests are seen to be answered") {
    Bench bench;
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    bench.pair = {Fd(ends[0]), Fd(ends[1])};
    bench.device.live.link_changed_at = since_boot(bench.kernel.time);
    bench.kernel.time += longest_request_timer + seconds{1};
    bench.growth.link_established(2 * mebibyte);
    bench.kernel.requests_in_flight = 3;
    bench.kernel.completed.requests = 100;
    bench.growth.advance(bench.link(), bench.kernel.time);
    bench.kernel.time += seconds{1};
    bench.growth.advance(bench.link(), bench.kernel.time);
    CHECK(bench.events.empty());
    bench.kernel.completed.requests = 101;
    SUBCASE("but not if the answer may be an old one") {
        bench.kernel.time += seconds{3};
        bench.growth.advance(bench.link(), bench.kernel.time);
        CHECK(bench.events.empty());
    }
    SUBCASE("nor while the kernel may use another link") {
        LinkView link = bench.link();
        link.older_links = true;
        bench.kernel.time += seconds{1};
        bench.growth.advance(link, bench.kernel.time);
        CHECK(bench.events.empty());
    }
    SUBCASE("an answer within the last moment") {
        bench.kernel.time += seconds{1};
        bench.growth.advance(bench.link(), bench.kernel.time);
        CHECK(bench.events == Events{"kernel: size 2097152", "record: saved"});
    }
}

TEST_CASE("a device whose requests are not counted grows once a read was answered") {
    Bench bench;
    std::string folder = "/var/tmp/holdfast-probe-XXXXXX";
    REQUIRE(::mkdtemp(folder.data()) != nullptr);
    const bool has_disk = std::ofstream(folder + "/nbd7").write(std::string(4096, 'x').data(), 4096).good();
    REQUIRE(has_disk);
    SUBCASE("over TCP") {}
    SUBCASE("over a UNIX socket, whose answers only totals would show") {
        std::array<int, 2> ends{};
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
        bench.pair = {Fd(ends[0]), Fd(ends[1])};
    }
    bench.kernel.counts = false;
    bench.device.live.link_changed_at = since_boot(bench.kernel.time);
    bench.growth.link_established(2 * mebibyte);
    bench.kernel.time += longest_request_timer + seconds{1};
    // No disk: the link's acknowledgements are no answer.
    bench.growth.advance(bench.link(), bench.kernel.time);
    CHECK(bench.events.empty());
    bench.proof = DiskProof::open(7, folder.c_str());
    for (int i = 0; i < 1000 && bench.events.empty(); ++i) {
        bench.kernel.time += std::chrono::milliseconds{10};
        bench.growth.advance(bench.link(), bench.kernel.time);
        pause_for(std::chrono::milliseconds{10});
    }
    CHECK(bench.events == Events{"kernel: size 2097152", "record: saved"});
    std::filesystem::remove_all(folder);
}
