// Counts in messages.
#include <doctest/doctest.h>

#include "common/text/plural.hh"

using holdfast::counted;

TEST_CASE("a count has its noun in the singular for one, and in the plural for none and for several") {
    CHECK(fmt::format("good: {}", counted(1, "export")) == "good: 1 export");
    CHECK(fmt::format("{}", counted(0, "request")) == "0 requests");
    CHECK(fmt::format("{}, {}", counted(2, "more line"), counted(11, "byte")) == "2 more lines, 11 bytes");
}
