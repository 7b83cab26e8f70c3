// The timer of the device's requests.
#include <doctest/doctest.h>

#include "client/daemon/request_timer.hh"

using namespace holdfast::client;
using std::chrono::milliseconds;

TEST_CASE(
    "a quick server's requests have a short timer, a slow one's a long one, and never longer than the "
    "kernel's own") {
    CHECK(request_timer_for(milliseconds{0}) == shortest_request_timer);
    CHECK(request_timer_for(milliseconds{300}) == shortest_request_timer);
    CHECK(request_timer_for(milliseconds{400}) == milliseconds{5000});
    CHECK(request_timer_for(milliseconds{2500}) == milliseconds{20'000});
    CHECK(request_timer_for(milliseconds{60'000}) == longest_request_timer);
}

TEST_CASE("without a process to set it, the timer is only noted") {
    RequestTimer timer;
    timer.set(milliseconds{5000});
    CHECK(timer.current() == milliseconds{5000});
}
