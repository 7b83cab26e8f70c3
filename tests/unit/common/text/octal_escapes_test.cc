// Octal escapes in the kernel's tables.
#include "common/text/octal_escapes.hh"

#include <doctest/doctest.h>

using holdfast::without_octal_escapes;

TEST_CASE("a backslash with three octal digits is a character, and anything else stays") {
    CHECK(without_octal_escapes("/mnt/with\\040blank\\134") == "/mnt/with blank\\");
    CHECK(without_octal_escapes("\\303\\244") == "\303\244");
    for (const char* text : {"", "/mnt", "\\", "\\04", "\\089", "\\-12", "a\\xyz"})
        CHECK(without_octal_escapes(text) == text);
}
