// When a device may be told its new size: never while the kernel would wait for a server in doubt.
#include "client/daemon/growth.hh"

#include <doctest/doctest.h>

#include "client/daemon/request_timer.hh"

using namespace holdfast::client;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

GrowthFacts idle() { return {.proved = true, .answered = true, .link_age = seconds{1}}; }

GrowthFacts busy() {
    GrowthFacts facts = idle();
    facts.in_flight = 7;
    facts.link_age = longest_request_timer + seconds{1};
    return facts;
}

}  // namespace

TEST_CASE("a device grows on a link that the kernel was seen to use and that has just answered") {
    CHECK(growth_step(idle()) == GrowthStep::grow);
    CHECK(growth_step(busy()) == GrowthStep::grow);
}

TEST_CASE(
    "a device does not grow while the kernel may use another link, or none: a read tells, where none waits") {
    GrowthFacts facts = idle();
    facts.proved = false;
    CHECK(growth_step(facts) == GrowthStep::prove);
    facts = busy();
    facts.proved = false;
    CHECK(growth_step(facts) == GrowthStep::wait);
}

TEST_CASE("a device does not grow on a link that has been silent: its server may be away") {
    GrowthFacts facts = idle();
    facts.answered = false;
    CHECK(growth_step(facts) == GrowthStep::prove);
    facts = busy();
    facts.answered = false;
    CHECK(growth_step(facts) == GrowthStep::wait);
}

TEST_CASE("a device does not grow while requests are stuck, or may wait for a link that is gone") {
    GrowthFacts facts = busy();
    facts.stalled = milliseconds{1};
    CHECK(growth_step(facts) == GrowthStep::wait);
    facts = busy();
    facts.link_age = longest_request_timer;
    CHECK(growth_step(facts) == GrowthStep::wait);
}

TEST_CASE("a device whose requests are not counted grows after a read, when old requests were resent") {
    GrowthFacts facts = busy();
    facts.counted = false;
    facts.answered = false;
    CHECK(growth_step(facts) == GrowthStep::prove);
    facts.in_flight = 0;
    CHECK(growth_step(facts) == GrowthStep::prove);
    facts.answered = true;
    CHECK(growth_step(facts) == GrowthStep::grow);
    facts.proved = false;
    CHECK(growth_step(facts) == GrowthStep::prove);
    facts.proved = true;
    facts.link_age = longest_request_timer;
    CHECK(growth_step(facts) == GrowthStep::wait);
    const holdfast::LineText text = reason_to_wait(facts);
    CHECK(text.view().find("queue/iostats is 0") != std::string_view::npos);
    CHECK(text.view().find("30 s after") != std::string_view::npos);
    CHECK_FALSE(text.full());
}

TEST_CASE("who waits for a growth is told what for") {
    CHECK(reason_to_wait(idle()).view().find("not answered") != std::string_view::npos);
    CHECK(reason_to_wait(busy()).view().starts_with("the device has 7 requests in flight"));
    GrowthFacts older = busy();
    older.older_links = true;
    const holdfast::LineText text = reason_to_wait(older);
    CHECK(text.view().find("connection of a previous daemon") != std::string_view::npos);
    CHECK_FALSE(text.full());
}
