// The option of boot files, against bytes written by hand, and against every other length.
#include "common/protocol/boot_file_option.hh"

#include <doctest/doctest.h>

#include "tests/unit/wire_bytes.hh"

using namespace holdfast::nbd;
using namespace wire_bytes;

namespace {

constexpr Uuid uuid{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
const Bytes uuid_bytes = hex("00010203 04050607 08090a0b 0c0d0e0f");
const Bytes digest_bytes(32, 0xab);

Bytes named(const char* command, std::string_view name) {
    return hex(command) + uuid_bytes + be(name.size(), 4) + text(name);
}

// Every command decodes at its own length only, and encodes to the same bytes.
void check_exact(const Bytes& bytes) {
    const auto request = decode_boot_file_request(bytes);
    REQUIRE(request);
    CHECK(encode(*request) == bytes);
}

bool malformed(const Bytes& bytes) { return !decode_boot_file_request(bytes); }

}  // namespace

TEST_CASE("the commands of boot files have the bytes that their description says") {
    const Bytes begin = named("01", "root") + digest_bytes + be(8'123'456, 8);
    check_exact(begin);
    const auto decoded = std::get<BootFileBegin>(*decode_boot_file_request(begin));
    CHECK(decoded.session == uuid);
    CHECK(decoded.export_name == "root");
    CHECK(decoded.sha256[31] == 0xab);
    CHECK(decoded.size == 8'123'456);
    const Bytes piece = hex("02 0000000000010000") + text("bytes");
    check_exact(piece);
    CHECK(std::get<BootFilePiece>(*decode_boot_file_request(piece)).offset == 65536);
    CHECK(std::get<BootFilePiece>(*decode_boot_file_request(piece)).bytes.size() == 5);
    check_exact(hex("03"));
    check_exact(named("04", "root") + text("manifest"));
    CHECK(std::get<BootFileCommit>(*decode_boot_file_request(named("04", "r") + text("m"))).manifest == "m");
    check_exact(named("05", "root"));
    check_exact(named("05", ""));
    CHECK(encode(BootFileState{true, 258}) == hex("01 0000000000000102"));
    CHECK(decode_boot_file_state(hex("00 0000000000000102")) == BootFileState{false, 258});
}

TEST_CASE("a command of boot files is refused at every other length, and beyond each limit") {
    const Bytes begin = named("01", "root") + digest_bytes + be(1, 8);
    for (std::size_t length = 0; length < begin.size(); ++length)
        CHECK(malformed(Bytes(begin.begin(), begin.begin() + static_cast<std::ptrdiff_t>(length))));
    CHECK(malformed(begin + hex("00")));
    CHECK(malformed(named("01", "root") + digest_bytes + be(0, 8)));
    check_exact(named("01", "root") + digest_bytes + be(largest_boot_file, 8));
    CHECK(malformed(named("01", "root") + digest_bytes + be(largest_boot_file + 1, 8)));
    CHECK(malformed(hex("02 0000000000000000")));
    check_exact(hex("02 0000000000000000") + Bytes(longest_boot_piece));
    CHECK(malformed(hex("02 0000000000000000") + Bytes(longest_boot_piece + 1)));
    CHECK(malformed(hex("03 00")));
    CHECK(malformed(named("04", "root")));
    check_exact(named("04", "root") + Bytes(longest_boot_manifest));
    CHECK(malformed(named("04", "root") + Bytes(longest_boot_manifest + 1)));
    CHECK(malformed(named("05", "root") + hex("00")));
    for (const char* command : {"", "00", "06", "ff"}) CHECK(malformed(hex(command)));
}

TEST_CASE("the name in a command of boot files has no NUL, and no length that its bytes do not have") {
    CHECK(malformed(named("05", std::string_view("ro\0t", 4))));
    CHECK(malformed(hex("05") + uuid_bytes + hex("ffffffff") + text("root")));
    CHECK(malformed(hex("05") + uuid_bytes + hex("00000005") + text("root")));
    check_exact(named("05", std::string(longest_string, 'x')));
    CHECK(malformed(named("05", std::string(longest_string + 1, 'x'))));
}

TEST_CASE("an answer to the beginning of a boot file is refused if no sound server sends it") {
    CHECK_FALSE(decode_boot_file_state(hex("02 0000000000000000")));
    CHECK_FALSE(decode_boot_file_state(hex("00 00000000000000")));
    CHECK_FALSE(decode_boot_file_state(hex("00 000000000000000000")));
    CHECK_FALSE(decode_boot_file_state(hex("00") + be(largest_boot_file + 1, 8)));
}
