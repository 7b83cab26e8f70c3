// FNV-1a.
#include <doctest/doctest.h>

#include "common/text/fnv1a.hh"

using namespace holdfast;

TEST_CASE("a checksum has the values of FNV-1a's reference, also when made in parts") {
    CHECK(fnv1a("") == 0xcbf29ce484222325);
    CHECK(fnv1a("a") == 0xaf63dc4c8601ec8c);
    CHECK(fnv1a("foobar") == 0x85944171f73967e8);
    CHECK(fnv1a("bar", fnv1a("foo")) == fnv1a("foobar"));
}
