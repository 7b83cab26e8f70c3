// Requests and replies against bytes written out from the specification, and the judgement of requests at
// every edge.
#include "common/protocol/transmission.hh"

#include <doctest/doctest.h>

#include <cerrno>

#include "common/protocol/structured_reply.hh"
#include "tests/unit/wire_bytes.hh"

using namespace holdfast::nbd;
using namespace wire_bytes;

namespace {

constexpr std::uint16_t everything = flag_has_flags | flag_send_flush | flag_send_fua | flag_send_trim |
                                     flag_send_write_zeroes | flag_send_cache | flag_send_fast_zero;
constexpr std::uint64_t mebibyte = 1 << 20;

Offer offer_of(std::uint64_t size, std::uint16_t flags = everything, BlockSizes sizes = {}) {
    return {size, flags, sizes};
}

Request request_of(Command command, std::uint64_t offset, std::uint32_t length, std::uint16_t flags = 0) {
    return {flags, static_cast<std::uint16_t>(command), 7, offset, length};
}

Judgement refused(ErrorCode error, std::uint32_t skip = 0) { return {Verdict::refuse, error, skip}; }

constexpr Judgement served{};
constexpr Judgement disconnected{Verdict::disconnect, ErrorCode::none, 0};

}  // namespace

TEST_CASE("a request is read from the bytes of the specification") {
    //                          magic    flags command cookie           offset           length
    const Bytes bytes = hex("25609513 0001 0006 1122334455667788 00000000fedcba00 00001000");
    const auto request = decode_request(std::span<const std::uint8_t, 28>(bytes));
    REQUIRE(request);
    CHECK(*request == Request{cmd_flag_fua, 6, 0x1122334455667788, 0xfedcba00, 0x1000});
    CHECK(copy(bytes_of(encode_request(*request))) == bytes);
}

TEST_CASE("a request with any other magic is not read") {
    for (std::size_t i = 0; i < 4; ++i) {
        Bytes bytes = hex("25609513 0000 0000 0000000000000000 0000000000000000 00000000");
        bytes[i] ^= 1;
        CHECK_FALSE(decode_request(std::span<const std::uint8_t, 28>(bytes)));
    }
}

TEST_CASE("a simple reply is written as the bytes of the specification") {
    const SimpleReply reply{ErrorCode::enospc, 0x1122334455667788};
    const Bytes bytes = hex("67446698 0000001c 1122334455667788");
    CHECK(copy(bytes_of(encode_simple_reply(reply))) == bytes);
    CHECK(decode_simple_reply(std::span<const std::uint8_t, 16>(bytes)) == reply);
}

TEST_CASE("a reply with any other magic is not read, and an unknown error counts as EINVAL") {
    Bytes bytes = hex("67446698 00000063 0000000000000001");
    CHECK(decode_simple_reply(std::span<const std::uint8_t, 16>(bytes)) == SimpleReply{ErrorCode::einval, 1});
    for (std::size_t i = 0; i < 4; ++i) {
        Bytes wrong = bytes;
        wrong[i] ^= 0x80;
        CHECK_FALSE(decode_simple_reply(std::span<const std::uint8_t, 16>(wrong)));
    }
}

TEST_CASE("a range is served up to the end of the export and not beyond") {
    const Offer offer = offer_of(mebibyte);
    for (const Command command :
         {Command::read, Command::write, Command::trim, Command::cache, Command::write_zeroes}) {
        CAPTURE(name_of(command));
        const bool writes = command == Command::write || command == Command::write_zeroes;
        const ErrorCode beyond = writes ? ErrorCode::enospc : ErrorCode::einval;
        const auto skipped = [&](std::uint32_t length) { return command == Command::write ? length : 0; };
        CHECK(judge(request_of(command, 0, mebibyte), offer) == served);
        CHECK(judge(request_of(command, mebibyte - 1, 1), offer) == served);
        CHECK(judge(request_of(command, 0, 0), offer) == served);
        CHECK(judge(request_of(command, mebibyte, 0), offer) == served);
        CHECK(judge(request_of(command, 0, mebibyte + 1), offer) == refused(beyond, skipped(mebibyte + 1)));
        CHECK(judge(request_of(command, mebibyte, 1), offer) == refused(beyond, skipped(1)));
        CHECK(judge(request_of(command, mebibyte + 1, 0), offer) == refused(beyond));
        // Sums that do not fit in 64 bits.
        CHECK(judge(request_of(command, UINT64_MAX, 1), offer) == refused(beyond, skipped(1)));
        CHECK(judge(request_of(command, UINT64_MAX - 4095, 4096), offer) == refused(beyond, skipped(4096)));
    }
}

TEST_CASE("no request that is served lies outside of the export") {
    std::mt19937_64 random(20);
    const auto near = [&](std::uint64_t edge) { return edge + random() % 5 - 2; };
    for (int i = 0; i < 200'000; ++i) {
        const std::uint64_t edges[] = {
            0, 512, 4096, mebibyte, 32 * mebibyte, 64 * mebibyte, UINT32_MAX, UINT64_MAX, 1ULL << 63};
        Offer offer = offer_of(near(edges[random() % 9]), static_cast<std::uint16_t>(random()));
        offer.block_sizes = {std::uint32_t{1} << (random() % 17), 4096,
                             static_cast<std::uint32_t>(near(edges[random() % 7]))};
        offer.block_status = random() % 2 == 0;
        const Request request{static_cast<std::uint16_t>(random() % 32),
                              static_cast<std::uint16_t>(random() % 9), 0, near(edges[random() % 9]),
                              static_cast<std::uint32_t>(near(edges[random() % 7]))};
        const Judgement judgement = judge(request, offer);
        if (judgement.verdict == Verdict::serve) {
            REQUIRE(request.offset <= offer.size);
            REQUIRE(request.length <= offer.size - request.offset);
        }
        const bool write = request.command == 1;
        if (judgement.verdict == Verdict::refuse) {
            REQUIRE(judgement.error != ErrorCode::none);
            REQUIRE(judgement.payload_to_skip == (write ? request.length : 0));
        }
    }
}

TEST_CASE("offset and length are held to the minimum block size") {
    const Offer offer = offer_of(mebibyte, everything, {512, 4096, largest_payload});
    for (const Command command :
         {Command::read, Command::write, Command::trim, Command::cache, Command::write_zeroes}) {
        CAPTURE(name_of(command));
        const auto skipped = [&](std::uint32_t length) { return command == Command::write ? length : 0; };
        CHECK(judge(request_of(command, 512, 512), offer) == served);
        CHECK(judge(request_of(command, 511, 512), offer) == refused(ErrorCode::einval, skipped(512)));
        CHECK(judge(request_of(command, 513, 512), offer) == refused(ErrorCode::einval, skipped(512)));
        CHECK(judge(request_of(command, 512, 511), offer) == refused(ErrorCode::einval, skipped(511)));
        CHECK(judge(request_of(command, 512, 513), offer) == refused(ErrorCode::einval, skipped(513)));
    }
    CHECK(judge(request_of(Command::read, 3, 5), offer_of(mebibyte, everything, {0, 0, 4096})) == served);
}

TEST_CASE("reads and writes are held to the maximum block size, trim and zeroes are not") {
    const Offer offer = offer_of(1ULL << 40);
    CHECK(judge(request_of(Command::read, 0, largest_payload), offer) == served);
    CHECK(judge(request_of(Command::write, 0, largest_payload), offer) == served);
    CHECK(judge(request_of(Command::read, 0, largest_payload + 1), offer) == refused(ErrorCode::einval));
    CHECK(judge(request_of(Command::cache, 0, largest_payload + 1), offer) == refused(ErrorCode::einval));
    CHECK(judge(request_of(Command::read, 0, UINT32_MAX), offer) == refused(ErrorCode::einval));
    CHECK(judge(request_of(Command::trim, 0, UINT32_MAX), offer) == served);
    CHECK(judge(request_of(Command::write_zeroes, 0, UINT32_MAX), offer) == served);
}

TEST_CASE("a write that is a little too large is skipped, one that is far too large ends the connection") {
    const Offer offer = offer_of(1ULL << 40);
    CHECK(judge(request_of(Command::write, 0, largest_payload + 1), offer) ==
          refused(ErrorCode::einval, largest_payload + 1));
    CHECK(judge(request_of(Command::write, 0, 2 * largest_payload), offer) ==
          refused(ErrorCode::einval, 2 * largest_payload));
    CHECK(judge(request_of(Command::write, 0, 2 * largest_payload + 1), offer) == disconnected);
    CHECK(judge(request_of(Command::write, 0, UINT32_MAX), offer) == disconnected);
    // Even where the export takes less at a time: up to 32 MiB is nobody's attack.
    const Offer small = offer_of(1ULL << 40, everything, {1, 4096, 65536});
    CHECK(judge(request_of(Command::write, 0, 65537), small) == refused(ErrorCode::einval, 65537));
    CHECK(judge(request_of(Command::write, 0, largest_payload), small) ==
          refused(ErrorCode::einval, largest_payload));
}

TEST_CASE("a read-only export refuses with EPERM what would change it, and skips the payload") {
    const Offer offer = offer_of(mebibyte, everything | flag_read_only);
    CHECK(judge(request_of(Command::write, 0, 512), offer) == refused(ErrorCode::eperm, 512));
    CHECK(judge(request_of(Command::trim, 0, 512), offer) == refused(ErrorCode::eperm));
    CHECK(judge(request_of(Command::write_zeroes, 0, 512), offer) == refused(ErrorCode::eperm));
    CHECK(judge(request_of(Command::write, 0, UINT32_MAX), offer) == disconnected);
    CHECK(judge(request_of(Command::read, 0, 512), offer) == served);
    CHECK(judge(request_of(Command::flush, 0, 0), offer) == served);
    const Offer bare = offer_of(mebibyte, flag_has_flags | flag_read_only);
    CHECK(judge(request_of(Command::trim, 0, 512), bare) == refused(ErrorCode::eperm));
}

TEST_CASE("a command that was not offered is EINVAL") {
    const Offer offer = offer_of(mebibyte, flag_has_flags);
    for (const Command command : {Command::flush, Command::trim, Command::cache, Command::write_zeroes})
        CHECK(judge(request_of(command, 0, 0), offer) == refused(ErrorCode::einval));
    CHECK(judge(request_of(Command::read, 0, 512), offer) == served);
    CHECK(judge(request_of(Command::write, 0, 512), offer) == served);
}

TEST_CASE("an unknown command is EINVAL and has no payload, DISC ends the connection whatever it carries") {
    const Offer offer = offer_of(mebibyte);
    for (const int command : {8, 9, 255, 256, 65535})
        CHECK(judge(request_of(static_cast<Command>(command), 0, 512), offer) == refused(ErrorCode::einval));
    CHECK(judge(request_of(Command::disconnect, 0, 0), offer) == disconnected);
    CHECK(judge(request_of(Command::disconnect, 1, UINT32_MAX, 0xffff), offer) == disconnected);
}

TEST_CASE("FUA goes with every command where it was offered, and with none where it was not") {
    const Offer offer = offer_of(mebibyte);
    const Offer without = offer_of(mebibyte, everything & ~flag_send_fua);
    for (const Command command : {Command::read, Command::write, Command::flush, Command::trim,
                                  Command::cache, Command::write_zeroes}) {
        CAPTURE(name_of(command));
        CHECK(judge(request_of(command, 0, 0, cmd_flag_fua), offer) == served);
        CHECK(judge(request_of(command, 0, 0, cmd_flag_fua), without) == refused(ErrorCode::einval));
    }
}

TEST_CASE("every other command flag is valid only where the specification says so") {
    const Offer offer = offer_of(mebibyte);
    const Offer slow = offer_of(mebibyte, everything & ~flag_send_fast_zero);
    const Offer with_df = offer_of(mebibyte, everything | flag_send_df);
    for (unsigned bit = 1; bit < 16; ++bit) {
        const auto flag = static_cast<std::uint16_t>(1U << bit);
        CAPTURE(flag);
        for (const Command command : {Command::read, Command::write, Command::flush, Command::trim,
                                      Command::cache, Command::write_zeroes}) {
            CAPTURE(name_of(command));
            const bool zeroes = command == Command::write_zeroes;
            const bool valid = zeroes && (flag == cmd_flag_no_hole || flag == cmd_flag_fast_zero);
            CHECK(judge(request_of(command, 0, 0, flag), offer) ==
                  (valid ? served : refused(ErrorCode::einval)));
        }
    }
    CHECK(judge(request_of(Command::write_zeroes, 0, 0, cmd_flag_fast_zero), slow) ==
          refused(ErrorCode::einval));
    CHECK(judge(request_of(Command::write_zeroes, 0, 0, cmd_flag_no_hole), slow) == served);
    CHECK(judge(request_of(Command::read, 0, 512, cmd_flag_df), with_df) == served);
    CHECK(judge(request_of(Command::write, 0, 512, cmd_flag_df), with_df) == refused(ErrorCode::einval, 512));
}

TEST_CASE("a block status needs the context, names something, and may ask for more than can be read") {
    Offer offer = offer_of(1ULL << 40, flag_has_flags);
    const auto status = [](std::uint64_t offset, std::uint32_t length, std::uint16_t flags = 0) {
        return request_of(Command::block_status, offset, length, flags);
    };
    CHECK(judge(status(0, 512), offer) == refused(ErrorCode::einval));
    offer.structured_replies = true;
    CHECK(judge(status(0, 512), offer) == refused(ErrorCode::einval));
    offer.block_status = true;
    CHECK(judge(status(0, 512), offer) == served);
    CHECK(judge(status(0, UINT32_MAX), offer) == served);
    CHECK(judge(status(0, 512, cmd_flag_req_one), offer) == served);
    CHECK(judge(status((1ULL << 40) - 512, 512), offer) == served);
    CHECK(judge(status((1ULL << 40) - 512, 513), offer) == refused(ErrorCode::einval));
    CHECK(judge(status(1ULL << 40, 1), offer) == refused(ErrorCode::einval));
    CHECK(judge(status(UINT64_MAX, UINT32_MAX), offer) == refused(ErrorCode::einval));
    CHECK(judge(status(0, 0), offer) == refused(ErrorCode::einval));
    CHECK(judge(status(0, 512, cmd_flag_req_one | cmd_flag_fua), offer) == refused(ErrorCode::einval));
    for (unsigned bit = 0; bit < 16; ++bit)
        if (const auto flag = static_cast<std::uint16_t>(1U << bit); flag != cmd_flag_req_one)
            CHECK(judge(status(0, 512, flag), offer) == refused(ErrorCode::einval));
    offer.flags |= flag_read_only;
    CHECK(judge(status(0, 512), offer) == served);
    offer.block_sizes.minimum = 4096;
    CHECK(judge(status(0, 512), offer) == refused(ErrorCode::einval));
}

TEST_CASE("a read in one chunk may be as long as any") {
    Offer offer = offer_of(1ULL << 40, everything | flag_send_df);
    offer.structured_replies = true;
    CHECK(judge(request_of(Command::read, 0, largest_payload, cmd_flag_df), offer) == served);
    CHECK(judge(request_of(Command::read, 0, largest_payload + 1, cmd_flag_df), offer) ==
          refused(ErrorCode::einval));
}

TEST_CASE("a refusal has a reason, which fits into a reply") {
    Offer offer = offer_of(mebibyte, everything, {512, 4096, 65536});
    const auto reason = [&](const Request& request) {
        const Judgement judgement = judge(request, offer);
        REQUIRE(judgement.verdict == Verdict::refuse);
        const std::string_view text = reason_of_refusal(request, offer, judgement.error);
        CHECK(text.size() <= longest_error_text);
        return text;
    };
    CHECK(reason(request_of(Command::read, 1, 512)) ==
          "offset or length is not a multiple of the export's minimum block size");
    CHECK(reason(request_of(Command::read, 0, 66048)) == "longer than the export's maximum block size");
    CHECK(reason(request_of(Command::read, mebibyte, 512)) == "beyond the end of the export");
    CHECK(reason(request_of(Command::write, mebibyte, 512)) == "beyond the end of the export");
    CHECK(reason(request_of(Command::flush, 0, 512)) == "this kind of flush was not offered");
    CHECK(reason(request_of(Command::read, 0, 512, cmd_flag_no_hole)) ==
          "the command, or one of its flags, was not offered");
    offer.flags |= flag_read_only;
    CHECK(reason(request_of(Command::write, 0, 512)) == "the export is read-only");
}

TEST_CASE("ENOTSUP is the answer to zeroes that were to be fast, and to nothing else") {
    const Request fast = request_of(Command::write_zeroes, 0, 512, cmd_flag_fast_zero);
    CHECK(error_of(fast, EOPNOTSUPP) == ErrorCode::enotsup);
    CHECK(error_of(fast, ENOSPC) == ErrorCode::enospc);
    CHECK(error_of(request_of(Command::write_zeroes, 0, 512, cmd_flag_no_hole), EOPNOTSUPP) ==
          ErrorCode::einval);
    CHECK(error_of(request_of(Command::write, 0, 512, cmd_flag_fast_zero), EOPNOTSUPP) == ErrorCode::einval);
}

TEST_CASE("a flush names no range") {
    const Offer offer = offer_of(mebibyte);
    CHECK(judge(request_of(Command::flush, 0, 0), offer) == served);
    CHECK(judge(request_of(Command::flush, 1, 0), offer) == refused(ErrorCode::einval));
    CHECK(judge(request_of(Command::flush, 0, 1), offer) == refused(ErrorCode::einval));
}

TEST_CASE("an errno becomes the nearest error of the protocol") {
    CHECK(error_from_errno(0) == ErrorCode::none);
    CHECK(error_from_errno(EPERM) == ErrorCode::eperm);
    CHECK(error_from_errno(EROFS) == ErrorCode::eperm);
    CHECK(error_from_errno(ENOSPC) == ErrorCode::enospc);
    CHECK(error_from_errno(EDQUOT) == ErrorCode::enospc);
    CHECK(error_from_errno(EFBIG) == ErrorCode::enospc);
    CHECK(error_from_errno(ENOMEM) == ErrorCode::enomem);
    CHECK(error_from_errno(EINVAL) == ErrorCode::einval);
    CHECK(error_from_errno(EOPNOTSUPP) == ErrorCode::einval);
    CHECK(error_from_errno(ESHUTDOWN) == ErrorCode::eshutdown);
    for (const int code : {EIO, ENODEV, ENXIO, EREMOTEIO, 12345, -1})
        CHECK(error_from_errno(code) == ErrorCode::eio);
}

TEST_CASE("errors and commands have names, also those that do not exist") {
    CHECK(std::string(name_of(ErrorCode::enospc)) == "ENOSPC");
    CHECK(std::string(name_of(static_cast<ErrorCode>(99))) == "unknown error");
    CHECK(std::string(name_of(Command::write_zeroes)) == "WRITE_ZEROES");
    CHECK(std::string(name_of(static_cast<Command>(99))) == "unknown command");
}
