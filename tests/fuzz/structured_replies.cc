// How replies begin, and a whole block status: read as a client reads them, they have the lengths that they
// say, the request's cookie, and one end.
#include "common/protocol/structured_reply.hh"

#include <vector>

#include "tests/fuzz/input.hh"

using namespace holdfast::nbd;
using fuzz::check;

namespace {

// A chunk of which `bytes` are here and `data` bytes would follow.
WireChunk check_chunk(std::span<const std::uint8_t> bytes, std::uint64_t data, const Request& request,
                      bool last) {
    check(bytes.size() >= sizeof(WireChunk), "a chunk has a whole head");
    const auto head = load<WireChunk>(bytes);
    check(head.magic == structured_reply_magic, "a chunk begins with its magic number");
    check(head.cookie == request.cookie, "a chunk is the request's");
    check(std::uint64_t{head.length} == bytes.size() - sizeof(WireChunk) + data,
          "a chunk is as long as it says");
    check(((head.flags & reply_flag_done) != 0) == last, "the last chunk says that it is");
    return head;
}

void check_simple(const ReplyHead& reply, const Request& request, ErrorCode error) {
    check(reply.size() == sizeof(WireSimpleReply), "a simple reply has its size");
    const auto read = decode_simple_reply(reply.bytes().first<sizeof(WireSimpleReply)>());
    check(read == SimpleReply{error, request.cookie}, "a simple reply is the request's, with its error");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    fuzz::Input input(data, size);
    Offer offer;
    offer.structured_replies = input.flag();
    const bool read = input.flag();
    Request request;
    request.command = static_cast<std::uint16_t>(read ? Command::read : Command::write);
    request.flags = static_cast<std::uint16_t>(input.number(2));
    request.cookie = input.number(8);
    request.offset = input.number(8) >> 1;
    request.length = static_cast<std::uint32_t>(input.number(4)) % (largest_payload + 1);

    const ReplyHead success = success_reply(request, offer);
    if (offer.structured_replies && read)
        check_chunk(success.bytes(), 0, request, true);
    else
        check_simple(success, request, ErrorCode::none);
    const ReplyHead error = error_reply(request, ErrorCode::eio, offer, "text");
    if (offer.structured_replies)
        check((check_chunk(error.bytes(), 0, request, true).type & 0x8000) != 0, "an error is one");
    else
        check_simple(error, request, ErrorCode::eio);
    check_chunk(error_reply_at(request, ErrorCode::eio, request.offset, "text").bytes(), 0, request, true);
    check(data_reply(request, offer).size() == size_of_data_reply(offer), "data begin where it is said");

    // Parts of a read, one after the other.
    for (std::uint64_t at = request.offset; at < request.offset + request.length;) {
        const std::uint64_t left = request.offset + request.length - at;
        Part part{at, static_cast<std::uint32_t>(std::min(left, input.number(4) + 1)), false};
        part.last = part.length == left;
        if (input.empty()) part = {at, static_cast<std::uint32_t>(left), true};
        check_chunk(data_chunk(request, part).bytes(), part.length, request, part.last);
        check_chunk(hole_chunk(request, part).bytes(), 0, request, part.last);
        at += part.length;
    }

    std::vector<StatusExtent> extents(input.number(2) % most_extents + 1);
    for (StatusExtent& extent : extents) extent = {static_cast<std::uint32_t>(input.number(4) | 1), 3};
    std::array<std::uint8_t, longest_status_reply> room;
    const auto status = encode_status_reply(request, extents, room);
    const WireChunk head = check_chunk(status, 0, request, true);
    check(head.length == sizeof(be32) + extents.size() * sizeof(WireStatusExtent), "no extent is lost");
    return 0;
}
