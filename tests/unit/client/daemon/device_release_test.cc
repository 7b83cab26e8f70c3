// Release of the device, with a kernel of the test's own and links over loopback.
#include "client/daemon/device_release.hh"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/socket.h>

#include <utility>

#include "tests/unit/client/daemon/fake_kernel.hh"
#include "tests/unit/log_lines.hh"
#include "tests/unit/socket_pair.hh"

using namespace holdfast;
using namespace holdfast::client;

namespace {

struct Bench {
    // `older`: names of older links in the record.
    explicit Bench(const char* older = "none") : pair(connected()) {
        ::sigprocmask(SIG_SETMASK, nullptr, &before);
        REQUIRE(loop.open());
        ::sigprocmask(SIG_SETMASK, &before, nullptr);
        device.live.session_known = true;
        device.live.link_socket = older;
        links.take(std::move(pair.ours));
    }
    DeviceRelease::Outcome detach(bool forced) {
        return release.detach({.forced = forced, .has_link = true});
    }
    sigset_t before{};
    Pair pair;
    Events events;
    FakeKernel kernel{events};
    FakeStore store{events};
    KeptDevice device = fake_device();
    EventLoop loop;
    LinkLog log{device};
    QueueLimits limits{kernel, device};
    LinksInUse links{kernel, device, loop, store};
    DeviceRelease release{kernel, device, store, links, log, limits};
};

}  // namespace

TEST_CASE("an idle device is disconnected while its link is up, so that the server is notified") {
    Bench bench;
    bool had_link = false;
    bench.kernel.on_request = [&] { had_link = bench.links.is_alive(); };
    CHECK(bench.detach(false).failure.empty());
    // With no size, so that nobody reads from it without a link.
    CHECK(bench.events == Events{"kernel: size 0", "kernel: disconnect"});
    CHECK(had_link);
    CHECK_FALSE(bench.links.has_socket());
}

TEST_CASE("a detach by force ends the link first, and leaves the record for the next attach") {
    Bench bench;
    bool had_link = true;
    bench.kernel.on_request = [&] { had_link = bench.links.has_socket(); };
    CHECK(bench.detach(true).failure.empty());
    CHECK(bench.events == Events{"kernel: release", "record: left behind"});
    CHECK_FALSE(had_link);
    CHECK(bench.device.live.link_socket == "none");
}

TEST_CASE("a device that the kernel keeps needs a new link if its link was ended") {
    Bench bench;
    bench.kernel.error = EBUSY;
    const auto gently = bench.detach(false);
    CHECK_FALSE(gently.failure.empty());
    CHECK_FALSE(gently.link_ended);
    CHECK(bench.links.is_alive());
    const auto forced = bench.detach(true);
    CHECK_FALSE(forced.failure.empty());
    CHECK(forced.link_ended);
    CHECK_FALSE(bench.links.is_alive());
}

TEST_CASE("a device with a request in flight keeps its size, since the kernel would wait for the request") {
    Bench bench;
    bench.kernel.requests_in_flight = 1;
    CHECK(bench.detach(false).failure.empty());
    CHECK(bench.events == Events{"kernel: disconnect"});
}

TEST_CASE("a device that the kernel keeps has its size again") {
    Bench bench;
    bench.kernel.device_size = 8192;
    int requests = 0;
    bench.kernel.on_request = [&] {
        bench.kernel.error = ++requests == 2 ? std::optional(EBUSY) : std::nullopt;
    };
    CHECK_FALSE(bench.detach(false).failure.empty());
    CHECK(bench.events == Events{"kernel: size 0", "kernel: disconnect", "kernel: size 8192"});
    CHECK(bench.links.is_alive());
}

TEST_CASE("nothing is asked of the kernel in vain") {
    Bench bench;
    SUBCASE("the link is down") {
        CHECK(bench.release.detach({.has_link = false}).failure ==
              "the link is down, so written data may not have reached the server");
    }
    SUBCASE("another daemon is about to take over") {
        CHECK(bench.release.detach({.forced = true, .has_link = true, .standing_by = true}).failure ==
              "a takeover is in progress; try again");
    }
    SUBCASE("the device is another daemon's: there is nothing to detach") {
        bench.kernel.ours = false;
        CHECK(bench.detach(true).failure.empty());
    }
    CHECK(bench.events.empty());
    CHECK(bench.links.is_alive());
}

TEST_CASE("while a link that cannot be ended may hold a stuck sender, the device stays") {
    // A record of an older version: some socket, which has no name.
    Bench bench("unknown");
    SUBCASE("a request is in flight") { bench.kernel.requests_in_flight = 1; }
    SUBCASE("the kernel counts no requests") { bench.kernel.counts = false; }
    CHECK_FALSE(bench.detach(true).failure.empty());
    CHECK_FALSE(bench.detach(false).failure.empty());
    CHECK_FALSE(bench.release.give_up("test"));
    CHECK(bench.events.empty());
    CHECK(bench.links.is_alive());
    // Without a request in flight there is no such sender.
    bench.kernel.requests_in_flight = 0;
    bench.kernel.counts = true;
    CHECK(bench.release.give_up("test"));
    CHECK(bench.events == Events{"kernel: release", "record: left behind"});
}

TEST_CASE("the record names the link in use besides the older links, until those are known to be gone") {
    Bench bench("unknown");
    CHECK(bench.links.any_older());
    CHECK(bench.kernel.has_socket_rights);
    const SocketNames both = bench.device.live.link_socket;
    CHECK(both.view().starts_with("unknown;"));
    bench.links.forget_older(true);
    CHECK(bench.device.live.link_socket == name_of_socket(bench.links.descriptor()).view());
    CHECK(bench.events == Events{"record: saved"});
    // Older links will never have to be ended.
    CHECK_FALSE(bench.kernel.has_socket_rights);
    // Saved only once.
    bench.links.forget_older(true);
    CHECK(bench.events.size() == 1);
}

TEST_CASE("a device that is given up is not fenced, and the log says so") {
    LogLines lines;
    Bench bench;
    bool is_said = true;
    SUBCASE("writable, with a server that fences") {}
    SUBCASE("a server without sessions fences nothing in any case") {
        bench.device.live.session_known = false;
        is_said = false;
    }
    SUBCASE("the kernel keeps the device") {
        bench.kernel.error = EBUSY;
        is_said = false;
    }
    CHECK(bench.release.give_up("test") == !bench.kernel.error);
    CHECK(lines.take(log::Level::warning).size() == (is_said ? 1U : 0U));
}

TEST_CASE("a later attach is promised only if the record is there for it") {
    LogLines lines;
    Bench bench;
    bool shutting_down = false;
    std::size_t said = 1;
    bool is_promised = false;
    SUBCASE("kept") { is_promised = true; }
    SUBCASE("lost with the machine") { shutting_down = true; }
    SUBCASE("not kept") {
        bench.store.error = ENOSPC;
        said = 2;
    }
    CHECK(bench.release.give_up("test", shutting_down));
    const auto warnings = lines.take(log::Level::warning);
    REQUIRE(warnings.size() == said);
    CHECK((warnings.back().find("the next attach of the disk") != std::string::npos) == is_promised);
    CHECK(warnings.back().find("restart that server") != std::string::npos);
}
