// The integers and structs of the wire: their byte order, their sizes, their lack of alignment.
#include "common/protocol/wire.hh"

#include <doctest/doctest.h>

#include "tests/unit/wire_bytes.hh"

using namespace holdfast::nbd;
using namespace wire_bytes;

TEST_CASE("integers are stored with the most significant byte first") {
    CHECK(copy(bytes_of(be16(0x0102))) == hex("0102"));
    CHECK(copy(bytes_of(be32(0x01020304))) == hex("01020304"));
    CHECK(copy(bytes_of(be64(0x0102030405060708))) == hex("0102030405060708"));
}

TEST_CASE("integers come back as they went in, at their edges") {
    for (const std::uint64_t value :
         {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{0x80}, std::uint64_t{0x8000},
          std::uint64_t{0x80000000}, std::uint64_t{0x8000000000000000}, std::uint64_t{0xffffffffffffffff}}) {
        CHECK(std::uint64_t{be64(value)} == value);
        CHECK(std::uint32_t{be32(static_cast<std::uint32_t>(value))} == static_cast<std::uint32_t>(value));
        CHECK(std::uint16_t{be16(static_cast<std::uint16_t>(value))} == static_cast<std::uint16_t>(value));
    }
}

TEST_CASE("structs are loaded from any address") {
    const Bytes bytes = hex("ff") + text("NBDMAGICIHAVEOPT") + hex("0003");
    const auto greeting = load<WireGreeting>(std::span(bytes).subspan(1));
    CHECK(greeting.nbdmagic == nbdmagic);
    CHECK(greeting.ihaveopt == ihaveopt);
    CHECK(greeting.handshake_flags == 3);
}

TEST_CASE("the magic numbers are those of the specification") {
    CHECK(copy(bytes_of(be64(nbdmagic))) == text("NBDMAGIC"));
    CHECK(copy(bytes_of(be64(ihaveopt))) == text("IHAVEOPT"));
    CHECK(copy(bytes_of(be64(oldstyle_magic))) == hex("0000420281861253"));
    CHECK(copy(bytes_of(be64(option_reply_magic))) == hex("0003e889045565a9"));
    CHECK(copy(bytes_of(be32(request_magic))) == hex("25609513"));
    CHECK(copy(bytes_of(be32(simple_reply_magic))) == hex("67446698"));
}
