// Link of the device, from loss to replacement, with a server on loopback, and a kernel and a clock of the
// test's own.
#include "client/daemon/link_keeper.hh"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "client/link/link_health.hh"
#include "tests/unit/client/daemon/fake_kernel.hh"
#include "tests/unit/client/daemon/fake_server.hh"
#include "tests/unit/own_network.hh"
#include "tests/unit/socket_pair.hh"

using namespace holdfast;
using namespace holdfast::client;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

struct Bench final : LinkListener {
    explicit Bench(LostCache lost_cache = LostCache::go_on) : device(make_device(server.target, lost_cache)) {
        sigset_t before{};
        ::sigprocmask(SIG_SETMASK, nullptr, &before);
        REQUIRE(loop.open());
        ::sigprocmask(SIG_SETMASK, &before, nullptr);
    }
    virtual ~Bench() = default;
    static KeptDevice make_device(const Target& target, LostCache lost_cache) {
        KeptDevice device = fake_device();
        DeviceRecord record = device.record;
        record.targets = {target};
        record.policy.lost_cache = lost_cache;
        return {std::move(record), device.live};
    }

    void link_established(std::uint64_t size) noexcept override {
        events.push_back("established, " + std::to_string(size));
    }
    void link_lost() noexcept override { events.emplace_back("lost"); }
    void leaving() noexcept override { events.emplace_back("leaving"); }

    // Takes a link that the kernel uses already.
    void take_link() {
        Pair pair = connected();
        peer = std::move(pair.peers);
        device.live.link_up = true;
        keeper.take(std::move(pair.ours), 1);
        REQUIRE(keeper.has_link());
    }
    // Lets server and attempt talk until there is a link for the kernel.
    void negotiate() {
        for (int i = 0; i < 100 && !next.has_candidate(); ++i) {
            server.serve();
            keeper.on_attempt_event();
        }
        REQUIRE(next.has_candidate());
    }
    // Moves the clock to the next deadline.
    void tick() {
        kernel.time = std::max(kernel.time, keeper.deadline());
        keeper.on_timer(kernel.time);
    }
    // Makes an attempt, with the server's help, and waits for LINK_DEAD in vain.
    void attempt() {
        tick();
        for (int i = 0; i < 20; ++i) {
            server.serve();
            keeper.on_attempt_event();
        }
        if (next.has_candidate()) tick();
    }

    FakeServer server;
    Fd peer;
    Events events;
    FakeKernel kernel{events};
    FakeStore store{events};
    KeptDevice device;
    EventLoop loop;
    LinkLog log{device};
    QueueLimits limits{kernel, device};
    LinksInUse links{kernel, device, loop, store};
    DeviceRelease release{kernel, device, store, links, log, limits};
    NewLink next{kernel, device, loop, log, release};
    LinkWatch watch{kernel, device, log, limits};
    LinkKeeper keeper{kernel, device, store, links, next, watch, log, *this};
};

}  // namespace

TEST_CASE("a link is in the record before the kernel is given the link") {
    Bench bench;
    bench.keeper.take({}, 1);
    CHECK_FALSE(bench.keeper.has_link());
    bench.attempt();
    CHECK(bench.events == Events{"record: saved", "kernel: socket", "established, 1048576", "record: saved"});
    REQUIRE(bench.keeper.has_link());
    CHECK(bench.device.live.link_up);
    CHECK(bench.device.live.reconnects == 1);
    CHECK(bench.device.live.linked_target == 0);
    CHECK(bench.device.live.session_known);
    CHECK(bench.device.live.export_identity == "disk 1");
    CHECK(bench.device.live.link_socket == name_of_socket(bench.links.descriptor()).view());
    // Given again until the kernel is known to use the link.
    bench.tick();
    CHECK(bench.events.back() == "kernel: socket");
    CHECK_FALSE(bench.keeper.view(bench.kernel.time).proved);
}

TEST_CASE("an answer on the link proves that the kernel uses the link, and no older link") {
    Bench bench;
    bench.device.live.link_socket = "unknown";
    bench.take_link();
    CHECK(bench.links.any_older());
    REQUIRE(::send(bench.peer.get(), "answer", 6, MSG_NOSIGNAL) == 6);
    bench.tick();
    CHECK(bench.keeper.view(bench.kernel.time).proved);
    CHECK_FALSE(bench.links.any_older());
    CHECK(bench.events == Events{"record: saved"});
}

TEST_CASE("a UNIX socket of a dead daemon is forgotten once it exists no more, not before") {
    std::array<int, 4> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data() + 2) == 0);
    Fd link(ends[0]);
    const Fd peer(ends[1]);
    Fd before(ends[2]);
    const Fd peer_before(ends[3]);
    Bench bench;
    bench.device.live.link_up = true;
    bench.device.live.link_socket =
        with(SocketNames(name_of_socket(before.get()).view()), name_of_socket(link.get()));
    bench.links.prepare();
    if (const auto diagnostics = SocketDiagnostics::open(std::chrono::seconds{10});
        !diagnostics || !diagnostics->has_vanished(
                            "unix 1 1 " + std::to_string(network_of_socket(before.get()).value_or(0)))) {
        MESSAGE("skipped: the kernel does not find UNIX sockets");
        return;
    }
    bench.keeper.take(std::move(link), 1);
    bench.tick();
    CHECK(bench.keeper.view(bench.kernel.time).proved);
    CHECK(bench.links.any_older());
    bench.tick();
    CHECK(bench.links.any_older());
    before.reset();
    bench.tick();
    CHECK_FALSE(bench.links.any_older());
    CHECK(bench.device.live.link_socket == name_of_socket(bench.links.descriptor()).view());
    CHECK(bench.events == Events{"record: saved"});
}

TEST_CASE("a link that dies is shut down, recorded as lost, and replaced") {
    Bench bench;
    bench.take_link();
    SUBCASE("ended by its peer: no request is left there") {
        bench.peer.reset();
        bench.keeper.on_link_event();
        CHECK(bench.device.live.elsewhere_after == Monotonic{0});
    }
    SUBCASE("given up by the kernel: the server may still apply writes for a while") {
        shut_down(bench.links.descriptor());
        bench.keeper.on_driver_event(Netlink::LinkDead::yes);
        CHECK(bench.device.live.elsewhere_after > since_boot(bench.kernel.time));
        CHECK(bench.device.live.elsewhere_after <=
              since_boot(bench.kernel.time) + bench.device.record.policy.dead_after);
    }
    CHECK(bench.events == Events{"lost", "record: saved"});
    CHECK_FALSE(bench.keeper.has_link());
    CHECK_FALSE(bench.device.live.link_up);
    CHECK(bench.device.live.link_socket == "none");
    CHECK(is_dead(bench.links.descriptor()));
    bench.attempt();
    CHECK(bench.keeper.has_link());
    CHECK(bench.links.is_alive());
}

TEST_CASE("an event of the driver that is not LINK_DEAD, or an event of a live link, changes nothing") {
    Bench bench;
    bench.take_link();
    bench.keeper.on_driver_event(Netlink::LinkDead::no);
    bench.keeper.on_link_event();
    CHECK(bench.events.empty());
    CHECK(bench.keeper.has_link());
}

TEST_CASE("a link that the kernel rejects is closed, and an export that does not suit is never offered") {
    Bench bench;
    SUBCASE("rejected") {
        bench.kernel.error = EBUSY;
        bench.keeper.take({}, 1);
        bench.attempt();
        CHECK(bench.events == Events{"record: saved", "kernel: socket"});
    }
    SUBCASE("another disk") {
        bench.device.live.export_identity = "disk 2";
        bench.keeper.take({}, 1);
        bench.attempt();
        CHECK(bench.events.empty());
    }
    SUBCASE("refused") {
        bench.server.refuses = true;
        bench.keeper.take({}, 1);
        bench.attempt();
        CHECK(bench.events.empty());
    }
    CHECK_FALSE(bench.keeper.has_link());
    CHECK_FALSE(bench.next.has_candidate());
    CHECK_FALSE(bench.device.live.last_error.empty());
    CHECK(bench.device.live.link_socket == "none");
    CHECK_FALSE(bench.keeper.is_leaving());
}

TEST_CASE("a device that refuses three links in a row is gone") {
    Bench bench;
    bench.kernel.error = EINVAL;
    bench.keeper.take({}, 1);
    for (int i = 0; i < 20 && !bench.keeper.is_leaving(); ++i) bench.attempt();
    CHECK(bench.keeper.is_leaving());
    CHECK(std::count(bench.events.begin(), bench.events.end(), "kernel: socket") == 3);
    CHECK(bench.events.back() == "leaving");
    CHECK(bench.keeper.deadline() == Clock::time_point::max());
}

TEST_CASE("the daemon leaves a device that is another daemon's, and gives it no link") {
    Bench bench;
    SUBCASE("before an attempt") {
        bench.keeper.take({}, 1);
        bench.kernel.ours = false;
        bench.attempt();
    }
    SUBCASE("at the loss of the link") {
        bench.take_link();
        bench.kernel.ours = false;
        bench.peer.reset();
        bench.keeper.on_link_event();
    }
    CHECK(bench.keeper.is_leaving());
    CHECK(bench.events == Events{"leaving"});
    CHECK_FALSE(bench.links.has_socket());
    // No server receives a connection.
    CHECK(bench.server.peers.empty());
}

TEST_CASE("a device that has gone since the last look gets no link, and the daemon leaves") {
    Bench bench;
    SUBCASE("during the handshake") {
        bench.keeper.take({}, 1);
        bench.tick();
        bench.kernel.ours = false;
        for (int i = 0; i < 100 && !bench.keeper.is_leaving(); ++i) {
            bench.server.serve();
            bench.keeper.on_attempt_event();
        }
        CHECK_FALSE(bench.next.has_candidate());
    }
    SUBCASE("before the offer") {
        bench.keeper.take({}, 1);
        bench.tick();
        bench.negotiate();
        bench.kernel.ours = false;
        bench.tick();
    }
    SUBCASE("before the kernel is known to use the link") {
        bench.take_link();
        bench.kernel.ours = false;
        bench.tick();
    }
    CHECK(bench.keeper.is_leaving());
    CHECK(bench.events == Events{"leaving"});
}

TEST_CASE("LINK_DEAD on a live link means that the kernel uses no older link") {
    Bench bench;
    bench.device.live.link_socket = "unknown";
    bench.take_link();
    REQUIRE(bench.links.any_older());
    bench.keeper.on_driver_event(Netlink::LinkDead::unknown);
    CHECK(bench.links.any_older());
    bench.keeper.on_driver_event(Netlink::LinkDead::yes);
    CHECK_FALSE(bench.links.any_older());
    CHECK(bench.keeper.has_link());
}

TEST_CASE("a link that the kernel has survives a failed request to the kernel, but not its refusal") {
    Bench bench;
    bench.take_link();
    bench.kernel.error = ENOBUFS;
    SUBCASE("a failure of this machine") {
        bench.tick();
        CHECK(bench.keeper.has_link());
    }
    SUBCASE("a refusal") {
        bench.kernel.error = EINVAL;
        bench.tick();
        CHECK_FALSE(bench.keeper.has_link());
    }
    CHECK(bench.events.front() == "kernel: socket");
}

TEST_CASE("a link that the kernel rejects is reset") {
    Bench bench;
    bench.kernel.error = EBUSY;
    bench.keeper.take({}, 1);
    bench.attempt();
    REQUIRE(bench.server.peers.size() == 1);
    // Reset, not only closed: nothing that is queued there goes out.
    int error = 0;
    socklen_t length = sizeof error;
    REQUIRE(::getsockopt(bench.server.peers[0].get(), SOL_SOCKET, SO_ERROR, &error, &length) == 0);
    CHECK(error != 0);
}

TEST_CASE("a server that accepts and says nothing fails the attempt in time, with an error") {
    Bench bench;
    bench.keeper.take({}, 1);
    bench.tick();
    bench.keeper.on_attempt_event();
    bench.tick();
    CHECK_FALSE(bench.device.live.last_error.empty());
    CHECK_FALSE(bench.keeper.has_link());
    CHECK(bench.events.empty());
}

TEST_CASE("a dead link is replaced also before the kernel was known to use the link") {
    Bench bench;
    bench.take_link();
    bench.peer.reset();
    bench.tick();
    CHECK_FALSE(bench.keeper.has_link());
    CHECK(bench.events == Events{"lost", "record: saved"});
}

TEST_CASE("a UNIX socket, which has no counters, counts as used") {
    Bench bench;
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    const Fd peer(ends[1]);
    bench.keeper.take(Fd(ends[0]), 1);
    bench.tick();
    CHECK(bench.keeper.view(bench.kernel.time).proved);
}

TEST_CASE("a server's machine that acknowledges nothing for two seconds loses a fenced link only") {
    in_own_network([] {
        Bench bench;
        bench.take_link();
        const int link = bench.links.descriptor();
        set_loopback(false);
        const auto before = Clock::now();
        REQUIRE(::send(link, "request", 7, MSG_NOSIGNAL) == 7);
        // The kernel's counters tell its own time.
        const auto silent = [&](bool fences) {
            bench.device.live.session_known = fences;
            bench.kernel.time += milliseconds{50};
            const auto event = bench.watch.look(link, bench.kernel.time).event;
            return event == LinkEvent::link_lost;
        };
        bool lost = false;
        while (!lost && Clock::now() < before + seconds{30}) {
            ::poll(nullptr, 0, 50);
            lost = silent(true);
        }
        CHECK(lost);
        CHECK_FALSE(silent(false));
        // The kernel counts in ticks.
        CHECK(Clock::now() - before >= milliseconds{1950});
        CHECK(bench.device.live.last_error.view().find("no acknowledgement for") != std::string_view::npos);
    });
}

TEST_CASE("a server that may have lost writes is reported, or the device is given up, as configured") {
    LostCache choice = LostCache::go_on;
    SUBCASE("go on") {}
    SUBCASE("fail") { choice = LostCache::fail; }
    Bench bench(choice);
    bench.device.live.boot_identity = nbd::Uuid{1};
    bench.kernel.completed_writes = 1;
    bench.keeper.take({}, 1);
    bench.attempt();
    if (choice == LostCache::fail) {
        CHECK(bench.events == Events{"kernel: release", "leaving"});
        CHECK(bench.keeper.is_leaving());
    } else {
        CHECK(bench.device.live.cache_lost == 1);
        CHECK(bench.keeper.has_link());
    }
}

TEST_CASE("another machine has to wait until the machine before is certainly dead") {
    Bench bench;
    bench.device.live.boot_identity = nbd::Uuid{1};
    bench.device.live.link_up = true;
    bench.keeper.take({}, 1);
    // The server machine that has the link is unknown.
    CHECK(bench.device.live.elsewhere_after ==
          since_boot(bench.kernel.time) + bench.device.record.policy.dead_after);
    bench.attempt();
    CHECK_FALSE(bench.keeper.has_link());
    CHECK(bench.events.empty());
    bench.kernel.time += bench.device.record.policy.dead_after;
    bench.attempt();
    CHECK(bench.keeper.has_link());
}

TEST_CASE("a daemon that stands by keeps the link, and takes the link again") {
    Bench bench;
    bench.take_link();
    const int descriptor = bench.links.descriptor();
    CHECK(bench.keeper.stand_by() == descriptor);
    SUBCASE("which is alive") {
        bench.keeper.resume(1);
        CHECK(bench.keeper.has_link());
        CHECK(bench.links.descriptor() == descriptor);
    }
    SUBCASE("or has died meanwhile") {
        bench.peer.reset();
        bench.keeper.resume(1);
        CHECK_FALSE(bench.keeper.has_link());
        CHECK_FALSE(bench.links.has_socket());
    }
}

TEST_CASE("a daemon that stands by drops its attempt, and ignores the link") {
    Bench bench;
    SUBCASE("an attempt") {
        bench.keeper.take({}, 1);
        bench.tick();
        bench.server.serve();
        CHECK(bench.keeper.stand_by() == -1);
    }
    SUBCASE("a new link that the kernel has not got yet") {
        bench.keeper.take({}, 1);
        bench.tick();
        bench.negotiate();
        CHECK(bench.keeper.stand_by() == -1);
        CHECK_FALSE(bench.next.has_candidate());
    }
    SUBCASE("a link") {
        bench.take_link();
        CHECK(bench.keeper.stand_by() == bench.links.descriptor());
        bench.peer.reset();
    }
    bench.keeper.on_attempt_event();
    bench.loop.arm(Clock::now());
    const auto events = bench.loop.wait();
    REQUIRE(events.size() == 1);
    CHECK(events.front().data.u64 == tag_timer);
    CHECK(bench.events.empty());
}

TEST_CASE("a generation is above the one before, whatever the clock says") {
    Bench bench;
    bench.device.live.generation = 1'000'000'000;
    bench.server.refuses = true;
    bench.keeper.take({}, 1);
    bench.attempt();
    CHECK(bench.server.generation == 1'000'000'001);
}

TEST_CASE("each attempt claims the session with a higher generation") {
    Bench bench;
    bench.server.refuses = true;
    bench.keeper.take({}, 1);
    bench.attempt();
    const std::uint32_t first = bench.server.generation;
    // Tenths of a second since the boot.
    CHECK(first >= 36'000);
    bench.attempt();
    CHECK(bench.server.generation > first);
}

TEST_CASE("a look at the link measures for how long requests wait, and sees that the device has gone") {
    Bench bench;
    bench.take_link();
    bench.kernel.requests_in_flight = 1;
    const int link = bench.links.descriptor();
    CHECK(bench.watch.look(link, bench.kernel.time).next == milliseconds{1000});
    bench.kernel.time += seconds{4};
    CHECK_FALSE(bench.watch.look(link, bench.kernel.time).event);
    CHECK(bench.watch.stalled(bench.kernel.time) == seconds{4});
    // An idle link is looked at less often.
    bench.kernel.requests_in_flight = 0;
    CHECK(bench.watch.look(link, bench.kernel.time).next == milliseconds{3000});
    CHECK(bench.watch.stalled(bench.kernel.time) == seconds{0});
    CHECK(bench.device.live.longest_stall == seconds{4});
    bench.kernel.ours = false;
    int looks = 0;
    while (!bench.watch.look(link, bench.kernel.time).event && looks < 8) ++looks;
    CHECK(looks < 8);
    shut_down(link);
    CHECK(bench.watch.look(link, bench.kernel.time).event == LinkEvent::link_lost);
}

TEST_CASE("a look counts new answers only, and adapts the limits of the queue") {
    Bench bench;
    bench.take_link();
    const int link = bench.links.descriptor();
    bench.limits.start();
    REQUIRE(::send(bench.peer.get(), "answer", 6, MSG_NOSIGNAL) == 6);
    bench.kernel.requests_in_flight = 1;
    // The first request keeps the largest size that may be in flight.
    bench.device.live.largest_request = 4 << 20;
    CHECK_FALSE(bench.watch.look(link, bench.kernel.time).event);
    CHECK(bench.device.live.largest_request == 4 << 20);
    for (int i = 0; i < 2; ++i) {
        bench.kernel.time += seconds{4};
        CHECK_FALSE(bench.watch.look(link, bench.kernel.time).event);
    }
    CHECK(bench.watch.stalled(bench.kernel.time) >= seconds{4});
    CHECK(bench.limits.timer() > shortest_request_timer);
    bench.kernel.requests_in_flight = 0;
    CHECK_FALSE(bench.watch.look(link, bench.kernel.time).event);
    CHECK(bench.device.live.largest_request == 1280 * 1024);
}
