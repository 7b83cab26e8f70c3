// The orders that the daemon takes, and their answers.

#include <doctest/doctest.h>
#include <errno.h>

#include "client/control/orders.hh"

using namespace holdfast::client;

TEST_CASE("every order is read back from its word, and nothing else is an order") {
    for (const Order order : {Order::status, Order::detach, Order::detach_forced})
        CHECK(read_order(word_of(order)) == order);
    for (const char* word : {"", "Status", "status ", "detach  forced", "detachforced", "stop"})
        CHECK(!read_order(word));
}

TEST_CASE("resize: ok is said of a device that has grown, and the reason of one that has not") {
    CHECK(growth_answer({}, 2048, 2048) == "ok 2048\n");
    CHECK(growth_answer({}, 2048, 4096) == "ok 4096\n");
    const holdfast::LineText refused =
        growth_answer(std::unexpected(holdfast::SysError{EPERM, "RECONFIGURE"}), 2048, 1024);
    CHECK(refused.view().starts_with("error the kernel rejected a size of 2048 bytes: RECONFIGURE: "));
    CHECK(refused.view().ends_with("; the device still has 1024\n"));
    CHECK(growth_answer({}, 2048, 1024).view().starts_with("error "));
}
