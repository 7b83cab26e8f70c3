// Callers of the daemon on socket pairs; the commands are the test's own.
#include "client/daemon/callers.hh"

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/socket.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/unit/client/daemon/fake_kernel.hh"

using namespace holdfast;
using namespace holdfast::client;

namespace {

struct Bench final : Commands {
    Bench() {
        sigset_t before{};
        ::sigprocmask(SIG_SETMASK, nullptr, &before);
        REQUIRE(loop.open());
        ::sigprocmask(SIG_SETMASK, &before, nullptr);
    }
    virtual ~Bench() = default;

    // Connects a caller; the slots are taken in order.
    std::size_t call() {
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
        peers.emplace_back(ends[0]);
        callers.admit(Fd(ends[1]));
        return peers.size() - 1;
    }
    void say(std::size_t caller, std::string_view text, std::size_t slot) {
        REQUIRE(::send(peers[caller].get(), text.data(), text.size(), 0) > 0);
        callers.receive(slot);
    }
    void say(std::size_t caller, std::string_view text) { say(caller, text, caller); }
    std::string heard(std::size_t caller) const {
        char text[4096];
        const ssize_t count = ::recv(peers[caller].get(), text, sizeof text, 0);
        return count > 0 ? std::string(text, static_cast<std::size_t>(count)) : "";
    }
    bool is_closed(std::size_t caller) const {
        char byte = 0;
        return ::recv(peers[caller].get(), &byte, 1, 0) == 0;
    }

    DeviceStatus status() const override { return {}; }
    std::string_view record_lines() const override { return "record of nbd7\n"; }
    LineText detach(bool forced, bool standing_by) override {
        events.push_back(std::string("detach") + (forced ? " by force" : "") +
                         (standing_by ? ", standing by" : ""));
        return failure;
    }
    LineText confine() override {
        events.emplace_back("confine");
        return failure;
    }
    bool has_link() const override { return link; }
    bool is_resizing() const override { return resizing.has_value(); }
    bool is_resizing_for(std::size_t slot) const override { return resizing == slot; }
    void resize(std::size_t slot) override { resizing = slot; }
    void forget(std::size_t slot) override {
        if (resizing == slot) resizing.reset();
    }
    int stand_by() override {
        events.emplace_back("stand by");
        return -1;
    }
    void resume() override { events.emplace_back("resume"); }

    Events events;
    FakeKernel kernel{events};
    KeptDevice device = fake_device();
    EventLoop loop;
    bool link = true;
    LineText failure;
    std::optional<std::size_t> resizing;
    std::vector<Fd> peers;
    Callers callers{kernel, device, loop, *this};
};

}  // namespace

TEST_CASE("a detach is answered with its result") {
    Bench bench;
    bench.call();
    bench.say(0, "detach\n");
    CHECK(bench.heard(0) == "ok\n");
    CHECK(bench.is_closed(0));
    bench.failure = "it is in use";
    bench.call();
    bench.say(1, "detach forced\n", 0);
    CHECK(bench.heard(1) == "error it is in use\n");
    CHECK(bench.events == Events{"detach", "detach by force"});
}

TEST_CASE("the command to enter the AppArmor profile is answered with its result") {
    Bench bench;
    bench.call();
    bench.say(0, "confine\n");
    CHECK(bench.heard(0) == "ok\n");
    bench.failure = "no such profile";
    bench.call();
    bench.say(1, "confine\n", 0);
    CHECK(bench.heard(1) == "error no such profile\n");
    CHECK(bench.events == Events{"confine", "confine"});
}

TEST_CASE("a takeover hands over, and ends this daemon only when the successor says so") {
    Bench bench;
    bench.call();
    bench.say(0, "take over\n");
    CHECK(bench.heard(0).starts_with("record of nbd7\n"));
    CHECK(bench.events.empty());
    bench.say(0, "ready\n");
    CHECK(bench.heard(0).starts_with("yours\n"));
    CHECK(bench.callers.has_successor());
    CHECK_FALSE(bench.callers.handed_over());
    bench.say(0, "mine\n");
    CHECK(bench.heard(0) == "go\n");
    CHECK(bench.callers.handed_over());
    CHECK(bench.events == Events{"stand by"});
}

TEST_CASE("a successor that hangs up or is late leaves the device to this daemon") {
    Bench bench;
    bench.call();
    bench.say(0, "take over\n");
    bench.say(0, "ready\n");
    REQUIRE(bench.callers.has_successor());
    SUBCASE("it hangs up") {
        bench.peers[0].reset();
        bench.callers.receive(0);
    }
    SUBCASE("it is late") {
        CHECK(bench.callers.successor_due() == bench.kernel.time + std::chrono::seconds{5});
        bench.callers.expire_successor(bench.kernel.time + std::chrono::milliseconds{4999});
        CHECK(bench.callers.has_successor());
        bench.callers.expire_successor(bench.kernel.time + std::chrono::seconds{5});
    }
    SUBCASE("it says something else") { bench.say(0, "status\n"); }
    CHECK_FALSE(bench.callers.has_successor());
    CHECK_FALSE(bench.callers.handed_over());
    CHECK(bench.events == Events{"stand by", "resume"});
}

TEST_CASE("a successor that does not get the answer to its command does not get the device") {
    Bench bench;
    bench.call();
    SUBCASE("ready") {}
    SUBCASE("mine") { bench.say(0, "ready\n"); }
    const bool has_device = bench.callers.has_successor();
    REQUIRE(::shutdown(bench.peers[0].get(), SHUT_RD) == 0);
    bench.say(0, has_device ? "mine\n" : "ready\n");
    CHECK(bench.events == Events{"stand by", "resume"});
    CHECK_FALSE(bench.callers.has_successor());
    CHECK_FALSE(bench.callers.handed_over());
}

TEST_CASE("the command of a caller that has hung up is not obeyed") {
    Bench bench;
    bench.call();
    REQUIRE(::send(bench.peers[0].get(), "ready\n", 6, 0) == 6);
    bench.peers[0].reset();
    bench.callers.receive(0);
    CHECK(bench.events.empty());
    CHECK_FALSE(bench.callers.has_successor());
}

TEST_CASE("only the daemon that was handed the device may claim it, and only one is") {
    Bench bench;
    for (int i = 0; i < 3; ++i) bench.call();
    bench.say(0, "ready\n");
    bench.say(1, "ready\n");
    CHECK(bench.heard(1) == "error another takeover is in progress\n");
    bench.say(2, "mine\n");
    CHECK(bench.heard(2) == "error no takeover of this device is in progress\n");
    CHECK_FALSE(bench.callers.handed_over());
    CHECK(bench.callers.has_successor());
}

TEST_CASE("a look at the export needs a link, and is one at a time") {
    Bench bench;
    for (int i = 0; i < 3; ++i) bench.call();
    bench.link = false;
    bench.say(0, "resize\n");
    CHECK(bench.heard(0) == "error the link is down; the size is checked once it is up again\n");
    bench.link = true;
    bench.say(1, "resize\n");
    CHECK(bench.resizing == 1);
    bench.say(2, "resize\n");
    CHECK(bench.heard(2) == "error another probe of the export is in progress; try again\n");
    // The caller hangs up, so nobody waits.
    bench.peers[1].reset();
    bench.callers.receive(1);
    CHECK_FALSE(bench.resizing);
}

TEST_CASE("a fifth caller replaces a silent caller, but no caller whose command is in progress") {
    Bench bench;
    for (int i = 0; i < 4; ++i) bench.call();
    bench.say(1, "resize\n");
    bench.say(0, "ready\n");
    bench.call();
    CHECK(bench.is_closed(2));
    CHECK_FALSE(bench.is_closed(3));
    CHECK_FALSE(bench.is_closed(1));
    bench.say(4, "detach\n", 2);
    CHECK(bench.heard(4) == "ok\n");
    CHECK(bench.events == Events{"stand by", "detach, standing by"});
}
