// A command's side of the control socket, and a successor's.

#include <doctest/doctest.h>
#include <errno.h>
#include <unistd.h>

#include <string>

#include "client/control/control_client.hh"
#include "tests/unit/client/control/control_pair.hh"

using namespace holdfast::client;
using Pair = ControlPair;
using Outcome = ControlConnection::Outcome;

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

TEST_CASE("a command without a right that root has says so, and only then") {
    const uid_t user = ::geteuid();
    CHECK(root_hint(ENOENT) == std::string_view());
    if (user == 0) {
        CHECK(root_hint(EACCES) == std::string_view());
        REQUIRE(::seteuid(65534) == 0);
    }
    CHECK(describe_failure(3, {EACCES, "connect to the daemon"}) ==
          "the daemon: connect to the daemon: Permission denied; run as root");
    CHECK(root_hint(EPERM) == std::string_view("; run as root"));
    CHECK(root_hint(EBUSY) == std::string_view());
    REQUIRE(::seteuid(user) == 0);
}
