// How long requests wait without an answer.
#include <doctest/doctest.h>

#include "client/daemon/stall_watch.hh"

using holdfast::client::StallWatch;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {
const StallWatch::Time start{seconds{100}};
}

TEST_CASE("requests that are answered, and none at all, are no stall") {
    StallWatch watch;
    watch.see(0, false, start);
    watch.see(5, true, start + seconds{1});
    watch.see(5, true, start + seconds{2});
    CHECK(watch.age(start + seconds{3}) == milliseconds{0});
    CHECK(watch.longest(start + seconds{3}) == milliseconds{0});
}

TEST_CASE("a stall is counted from the look before it was seen, until an answer") {
    StallWatch watch;
    watch.see(5, true, start);
    watch.see(5, false, start + seconds{1});
    watch.see(5, false, start + seconds{2});
    CHECK(watch.age(start + seconds{2}) == seconds{2});
    watch.see(5, true, start + seconds{3});
    CHECK(watch.age(start + seconds{3}) == milliseconds{0});
    CHECK(watch.longest(start + seconds{9}) == seconds{3});
}

TEST_CASE("a link that is down is a stall from that moment, and it ends with the first answer") {
    StallWatch watch;
    watch.see(0, false, start);
    watch.link_lost(start + milliseconds{300});
    watch.link_lost(start + seconds{5});
    CHECK(watch.age(start + seconds{10}) == milliseconds{9700});
    watch.see(1, false, start + seconds{11});
    watch.see(1, true, start + seconds{12});
    CHECK(watch.longest(start + seconds{20}) == milliseconds{11'700});
}
