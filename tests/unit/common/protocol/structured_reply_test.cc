// Replies against bytes written out from the specification, for clients with structured replies and without.
#include "common/protocol/structured_reply.hh"

#include <doctest/doctest.h>

#include "tests/unit/wire_bytes.hh"

using namespace holdfast::nbd;
using namespace wire_bytes;

namespace {

constexpr std::uint64_t cookie = 0x1122334455667788;
constexpr Request read{0, 0, cookie, 0x10000, 0x2000};
constexpr Request flush{0, 3, cookie, 0, 0};

constexpr Offer offer_with(bool structured) {
    Offer offer{1 << 20, flag_has_flags, {}};
    offer.structured_replies = structured;
    return offer;
}
constexpr Offer simple = offer_with(false);
constexpr Offer structured = offer_with(true);

Bytes of(const ReplyHead& head) { return copy(head.bytes()); }

}  // namespace

TEST_CASE("without structured replies every reply is a simple one") {
    const Bytes success = hex("67446698 00000000 1122334455667788");
    CHECK(of(success_reply(flush, simple)) == success);
    CHECK(of(success_reply(read, simple)) == success);
    CHECK(of(data_reply(read, simple)) == success);
    CHECK(of(error_reply(read, ErrorCode::eio, simple, "no disk")) ==
          hex("67446698 00000005 1122334455667788"));
    CHECK_FALSE(may_fragment(read, simple));
}

TEST_CASE("a success without data is a simple reply, but to a read") {
    CHECK(of(success_reply(flush, structured)) == hex("67446698 00000000 1122334455667788"));
    //                                                   magic    flags type cookie          length
    CHECK(of(success_reply(read, structured)) == hex("668e33ef 0001 0000 1122334455667788 00000000"));
}

TEST_CASE("an error chunk has the error and a text, and after that the offset where it was") {
    const Bytes error = hex("668e33ef 0001 8001 1122334455667788 0000000d 00000016 0007") + text("no disk");
    CHECK(of(error_reply(read, ErrorCode::einval, structured, "no disk")) == error);
    CHECK(of(error_reply(flush, ErrorCode::einval, structured, "no disk")) == error);
    CHECK(of(error_reply_at(read, ErrorCode::eio, 0x11000, "no disk")) ==
          hex("668e33ef 0001 8002 1122334455667788 00000015 00000005 0007") + text("no disk") +
              hex("0000000000011000"));
    const std::string longest(longest_error_text, 'x');
    CHECK(of(error_reply_at(read, ErrorCode::eio, 1, longest + "y")) ==
          hex("668e33ef 0001 8002 1122334455667788 0000005e 00000005 0050") + text(longest) +
              hex("0000000000000001"));
}

TEST_CASE("a read in one piece is one chunk, the last") {
    CHECK(of(data_reply(read, structured)) ==
          hex("668e33ef 0001 0001 1122334455667788 00002008 0000000000010000"));
    for (const Offer& offer : {simple, structured})
        CHECK(data_reply(read, offer).size() == size_of_data_reply(offer));
}

TEST_CASE("a read in parts has chunks of data and of holes, of which the last says so") {
    CHECK(of(data_chunk(read, {0x10000, 0x1000, false})) ==
          hex("668e33ef 0000 0001 1122334455667788 00001008 0000000000010000"));
    CHECK(of(data_chunk(read, {0x11000, 0x1000, true})) ==
          hex("668e33ef 0001 0001 1122334455667788 00001008 0000000000011000"));
    CHECK(of(hole_chunk(read, {0x11000, 0x1000, false})) ==
          hex("668e33ef 0000 0002 1122334455667788 0000000c 0000000000011000 00001000"));
    CHECK(of(hole_chunk(read, {0x11000, 0x1000, true})) ==
          hex("668e33ef 0001 0002 1122334455667788 0000000c 0000000000011000 00001000"));
}

TEST_CASE("DF forbids parts") {
    CHECK(may_fragment(read, structured));
    Request unfragmented = read;
    unfragmented.flags = cmd_flag_df;
    CHECK_FALSE(may_fragment(unfragmented, structured));
}

TEST_CASE("a block status is one chunk with every extent in it") {
    const Request status{0, 7, cookie, 0x10000, 0x2000};
    std::array<std::uint8_t, longest_status_reply> room;
    const StatusExtent extents[] = {{0x1000, state_hole | state_zero}, {0x1000, 0}};
    CHECK(copy(encode_status_reply(status, extents, room)) ==
          hex("668e33ef 0001 0005 1122334455667788 00000014 00000001 00001000 00000003 00001000 00000000"));
    const std::vector<StatusExtent> most(most_extents, {1, 0});
    CHECK(encode_status_reply(status, most, room).size() == longest_status_reply);
}
