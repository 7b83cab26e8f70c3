// How the daemon reads orders and answers.
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "client/control/control_server.hh"
#include "client/control/orders.hh"
#include "tests/unit/client/control/control_pair.hh"

using namespace holdfast::client;
using Pair = ControlPair;
using Outcome = ControlConnection::Outcome;

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
