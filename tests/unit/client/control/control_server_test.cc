// The orders that the daemon takes, and how it reads them.
#include <doctest/doctest.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "client/control/control_server.hh"

using namespace holdfast::client;
using Outcome = ControlConnection::Outcome;

namespace {

struct Pair {
    Pair() {
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
        connection.socket.reset(ends[0]);
        caller.reset(ends[1]);
    }
    void say(std::string_view text) const {
        REQUIRE(::send(caller.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
    }
    ControlConnection connection;
    holdfast::Fd caller;
};

}  // namespace

TEST_CASE("every order is read back from its word, and nothing else is an order") {
    for (const Order order : {Order::status, Order::detach, Order::detach_forced})
        CHECK(read_order(word_of(order)) == order);
    for (const char* word : {"", "Status", "status ", "detach  forced", "detachforced", "stop"})
        CHECK(!read_order(word));
}

TEST_CASE("an order may come in pieces") {
    Pair pair;
    std::optional<Order> order;
    CHECK(pair.connection.receive(order) == Outcome::more);
    pair.say("det");
    CHECK(pair.connection.receive(order) == Outcome::more);
    pair.say("ach forced\n");
    CHECK(pair.connection.receive(order) == Outcome::order);
    CHECK(order == Order::detach_forced);
}

TEST_CASE("a caller that sends too much, nonsense, or nothing is found out") {
    std::optional<Order> order;
    Pair endless;
    endless.say(std::string(longest_order, 'x'));
    CHECK(endless.connection.receive(order) == Outcome::malformed);
    Pair nonsense;
    nonsense.say("reboot\n");
    CHECK(nonsense.connection.receive(order) == Outcome::malformed);
    Pair gone;
    gone.caller.reset();
    CHECK(gone.connection.receive(order) == Outcome::closed);
    CHECK(!order);
}

TEST_CASE("an order of a caller that has given up is not obeyed later") {
    for (const Order late : {Order::detach, Order::detach_forced, Order::resize}) {
        Pair pair;
        std::optional<Order> order;
        pair.say(std::string(word_of(late)) + "\n");
        pair.caller.reset();
        CHECK(pair.connection.receive(order) == Outcome::closed);
        CHECK(!order);
    }
}

TEST_CASE("an answer arrives whole, and the connection ends") {
    Pair pair;
    pair.connection.answer("ok\n");
    char text[16];
    CHECK(::recv(pair.caller.get(), text, sizeof text, 0) == 3);
    CHECK(::recv(pair.caller.get(), text, sizeof text, 0) == 0);
    CHECK(!pair.connection.socket);
}

TEST_CASE("takeover: a go that was sent in time counts, also where it is read after the deadline") {
    Pair pair;
    pair.connection.reply("go\n", {}, -1);
    CHECK(claim_device(pair.caller.get(), std::chrono::milliseconds{0}));
}

TEST_CASE("takeover: after the deadline no go can be sent any more, so the old daemon stays in charge") {
    Pair pair;
    const auto claimed = claim_device(pair.caller.get(), std::chrono::milliseconds{0});
    REQUIRE(!claimed);
    CHECK(claimed.error().code == ETIMEDOUT);
    std::optional<Order> order;
    CHECK(pair.connection.receive(order) == Outcome::order);
    CHECK(order == Order::mine);
    pair.connection.reply("go\n", {}, -1);
    CHECK(!pair.connection.socket);
}

TEST_CASE("resize: ok is said of a device that has grown, and the reason of one that has not") {
    CHECK(growth_answer({}, 2048, 2048) == "ok 2048\n");
    CHECK(growth_answer({}, 2048, 4096) == "ok 4096\n");
    const holdfast::LineText refused =
        growth_answer(std::unexpected(holdfast::SysError{EPERM, "RECONFIGURE"}), 2048, 1024);
    CHECK(refused.view().starts_with("error the kernel refused 2048 bytes: RECONFIGURE: "));
    CHECK(refused.view().ends_with("; the device still has 1024\n"));
    CHECK(growth_answer({}, 2048, 1024).view().starts_with("error "));
}

TEST_CASE("a command without a right that root has says so, and only then") {
    const uid_t user = ::geteuid();
    CHECK(root_hint(ENOENT) == std::string_view());
    if (user == 0) {
        CHECK(root_hint(EACCES) == std::string_view());
        REQUIRE(::seteuid(65534) == 0);
    }
    CHECK(describe_failure(3, {EACCES, "connect to the daemon"}) ==
          "its daemon: connect to the daemon: Permission denied; run it as root");
    CHECK(root_hint(EPERM) == std::string_view("; run it as root"));
    CHECK(root_hint(EBUSY) == std::string_view());
    REQUIRE(::seteuid(user) == 0);
}
