// Names made safe for the log.
#include <doctest/doctest.h>

#include "common/text/printable.hh"

using namespace holdfast;

TEST_CASE("a name that a client made up is short and harmless in the log") {
    CHECK(printable_ascii("root", 100) == "root");
    CHECK(printable_ascii("a\nb\x80\x7f\xc3\xa4", 100) == "a?b????");
    CHECK(printable_ascii(std::string(101, 'n'), 100) == std::string(100, 'n') + "...");
}
