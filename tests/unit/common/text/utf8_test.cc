// What of a text from the network may be shown, and how the rest is spelled.
#include <doctest/doctest.h>

#include <string>

#include "common/text/json.hh"
#include "common/text/printable.hh"
#include "common/text/utf8.hh"

using holdfast::code_point;
using holdfast::is_printable;
using holdfast::json_string;

TEST_CASE("a character's code point is read whole, whatever its length") {
    CHECK(code_point("A", 1) == U'A');
    CHECK(code_point("\xc3\xbc", 2) == U'\u00fc');
    CHECK(code_point("\xe2\x80\xae", 3) == U'\u202e');
    CHECK(code_point("\xf0\x9f\x8c\x8a", 4) == U'\U0001f30a');
}

TEST_CASE("letters of any script may be shown; marks of direction, joiners and empty characters may not") {
    for (const char* good : {"root", "gr\xc3\xbc\xc3\x9f", "\xd7\xa9\xd7\x9c\xd7\x95\xd7\x9d", "\xe6\xa0\xb9",
                             "\xf0\x9f\x8c\x8a"})
        CHECK(is_printable(good));
    for (const char* bad : {
             "\xc2\xad",          // soft hyphen
             "\xd8\x9c",          // Arabic letter mark
             "\xe2\x80\x8b",      // zero width space
             "\xe2\x80\x8f",      // right-to-left mark
             "\xe2\x80\xa8",      // line separator
             "\xe2\x80\xae",      // right-to-left override
             "\xe2\x81\xa6",      // left-to-right isolate
             "\xe3\x85\xa4",      // Hangul filler
             "\xef\xbb\xbf",      // byte order mark
             "\xf3\xa0\x81\x81",  // tag letter
             "\xc2\x9b",          // C1: begins an escape sequence
             "\x1b",
         }) {
        CHECK_FALSE(is_printable(bad));
        CHECK_FALSE(is_printable(std::string("root") + bad));
    }
}

TEST_CASE("a message shows the bytes of what cannot be seen") {
    CHECK(holdfast::printable("ro\xe2\x80\xaeot") == "ro\\xe2\\x80\\xaeot");
}

TEST_CASE("JSON escapes what cannot be seen, beyond U+FFFF as two units, and loses nothing") {
    CHECK(json_string("a\xe2\x80\xae"
                      "b") == "\"a\\u202eb\"");
    CHECK(json_string("\xf3\xa0\x81\x81") == "\"\\udb40\\udc41\"");
}
