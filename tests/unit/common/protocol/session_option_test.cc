// The private session option and its answer, against bytes written by hand, at every length.
#include "common/protocol/session_option.hh"

#include <doctest/doctest.h>

#include "common/protocol/constants.hh"
#include "tests/unit/wire_bytes.hh"

using namespace holdfast::nbd;
using namespace wire_bytes;

namespace {

constexpr Uuid uuid{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
const Bytes uuid_bytes = hex("00010203 04050607 08090a0b 0c0d0e0f");

template <class Message>
std::optional<Bytes> encoded(const Message& message, std::size_t room = 8192) {
    Bytes out(room, 0xee);
    const auto size = encode(message, out);
    if (!size) return std::nullopt;
    REQUIRE(*size <= room);
    out.resize(*size);
    return out;
}

}  // namespace

TEST_CASE("a session request has the bytes that the design says") {
    const Bytes bytes = uuid_bytes + hex("00000002 01000000") + text("root");
    CHECK(encoded(SessionRequest{uuid, 2, 0x01000000, "root"}) == bytes);
    const auto request = decode_session_request(bytes);
    REQUIRE(request);
    CHECK(request->session == uuid);
    CHECK(request->slot == 2);
    CHECK(request->generation == 0x01000000);
    CHECK(request->export_name == "root");
}

TEST_CASE("a session answer has the bytes that the design says") {
    const Bytes bytes = uuid_bytes + text("lvm:Xy12");
    CHECK(encoded(SessionAnswer{uuid, "lvm:Xy12"}) == bytes);
    const auto answer = decode_session_answer(bytes);
    REQUIRE(answer);
    CHECK(answer->boot_identity == uuid);
    CHECK(answer->export_identity == "lvm:Xy12");
}

TEST_CASE("the text may be empty, and is at most 4096 bytes") {
    CHECK(decode_session_request(uuid_bytes + hex("0000000000000000"))->export_name.empty());
    CHECK(decode_session_answer(uuid_bytes)->export_identity.empty());
    const std::string longest(longest_string, 'x');
    CHECK(encoded(SessionRequest{uuid, 0, 0, longest})->size() == 24 + longest_string);
    CHECK(decode_session_request(Bytes(24) + text(longest))->export_name == longest);
    CHECK(decode_session_answer(Bytes(16) + text(longest))->export_identity == longest);
    CHECK_FALSE(encoded(SessionRequest{uuid, 0, 0, longest + "x"}));
    CHECK_FALSE(encoded(SessionAnswer{uuid, longest + "x"}));
    CHECK_FALSE(decode_session_request(Bytes(24) + text(longest + "x")));
    CHECK_FALSE(decode_session_answer(Bytes(16) + text(longest + "x")));
}

TEST_CASE("data that ends within the head is malformed") {
    for (std::size_t size = 0; size < 24; ++size) CHECK_FALSE(decode_session_request(Bytes(size, 1)));
    for (std::size_t size = 0; size < 16; ++size) CHECK_FALSE(decode_session_answer(Bytes(size, 1)));
    CHECK(decode_session_request(Bytes(24, 1)));
    CHECK(decode_session_answer(Bytes(16, 1)));
}

TEST_CASE("a NUL in the text is malformed, one in the head is not") {
    using namespace std::string_view_literals;
    CHECK_FALSE(decode_session_request(Bytes(24) + text("a\0b"sv)));
    CHECK_FALSE(decode_session_answer(Bytes(16) + text("a\0"sv)));
    CHECK_FALSE(encoded(SessionRequest{uuid, 0, 0, "a\0b"sv}));
    CHECK_FALSE(encoded(SessionAnswer{uuid, "\0"sv}));
}

TEST_CASE("a host request and its answer have the bytes that the header says, and may be longer") {
    const HostRequest request{uuid, {0xb0}, 0x0102030405060708, 0x11223344};
    const Bytes bytes = uuid_bytes + hex("b0") + Bytes(15) + hex("0102030405060708 11223344");
    CHECK(encoded(request) == bytes);
    CHECK(decode_host_request(bytes) == request);
    CHECK(decode_host_request(bytes + Bytes(4000, 9)) == request);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        CHECK_FALSE(decode_host_request(Bytes(size, 1)));
        CHECK_FALSE(encoded(request, size));
    }
    CHECK(encoded(HostAnswer{host_fenced | writes_stable}) == hex("00000003"));
    CHECK(decode_host_answer(hex("00000002")) == HostAnswer{writes_stable});
    CHECK(decode_host_answer(hex("80000001 ffff")) == HostAnswer{0x80000001});
    for (std::size_t size = 0; size < 4; ++size) {
        CHECK_FALSE(decode_host_answer(Bytes(size, 1)));
        CHECK_FALSE(encoded(HostAnswer{1}, size));
    }
}

TEST_CASE("nothing is written where it does not fit") {
    const SessionRequest request{uuid, 1, 2, "root"};
    const SessionAnswer answer{uuid, "root"};
    for (std::size_t room = 0; room < 28; ++room) CHECK_FALSE(encoded(request, room));
    for (std::size_t room = 0; room < 20; ++room) CHECK_FALSE(encoded(answer, room));
    CHECK(encoded(request, 28));
    CHECK(encoded(answer, 20));
}
