// Counts of connections by export.
#include <doctest/doctest.h>

#include "server/export/connection_counts.hh"

using namespace holdfast;
using namespace holdfast::server;

TEST_CASE("connections are counted up to the limit, and a place becomes free again") {
    ConnectionCounts counts;
    CHECK(counts.enter("a", 2));
    CHECK(counts.enter("a", 2));
    CHECK_FALSE(counts.enter("a", 2));
    CHECK(counts.enter("b", 1));
    CHECK(counts.enter("a", 0));
    counts.leave("a");
    counts.leave("a");
    CHECK(counts.enter("a", 2));
}
