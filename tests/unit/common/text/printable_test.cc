// Words in messages.

#include <doctest/doctest.h>

#include <string>

#include "common/text/printable.hh"

using holdfast::printable;
using holdfast::printable_ascii;

TEST_CASE("a word in a message is cut short and printable") {
    CHECK(printable("a\x1b[31mb\n") == "a\\x1b[31mb\\x0a");
    CHECK(printable(std::string(5000, 'a')).size() < 200);
    // C1 in UTF-8 and as bare bytes; what is no UTF-8; a character across the cut.
    CHECK(printable("\xc2\x9b"
                    "31m|\x9b|gr\xc3\xbc|\xe2\x82") == "\\xc2\\x9b31m|\\x9b|gr\xc3\xbc|\\xe2\\x82");
    CHECK(printable(std::string(119, 'a') + "\xc3\xbc") == std::string(119, 'a') + "\xc3\xbc");
}

TEST_CASE("a name that a client made up is short and harmless in the log") {
    CHECK(printable_ascii("root", 100) == "root");
    CHECK(printable_ascii("a\nb\x80\x7f\xc3\xa4", 100) == "a?b????");
    CHECK(printable_ascii(std::string(101, 'n'), 100) == std::string(100, 'n') + "...");
}
