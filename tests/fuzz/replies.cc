// Simple replies as the client sees them.
#include <array>

#include "common/protocol/transmission.hh"
#include "tests/fuzz/input.hh"

using namespace holdfast::nbd;
using fuzz::check;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    std::array<std::uint8_t, sizeof(WireSimpleReply)> wire{};
    std::ranges::copy(input.bytes(wire.size()), wire.begin());
    const auto reply = decode_simple_reply(wire);
    check(reply.has_value() == (load<be32>(wire) == simple_reply_magic), "the magic number decides");
    if (!reply) return 0;
    check(name_of(reply->error) != std::string_view("unknown error"), "an error is one of the protocol's");
    const bool succeeded = load<be32>(std::span(wire).subspan(4)) == 0U;
    check(succeeded == (reply->error == ErrorCode::none), "no error is taken for success");
    const auto again = decode_simple_reply(bytes_of(encode_simple_reply(*reply)));
    check(again == reply, "a reply is decoded as it was encoded");
    return 0;
}
