// Chunks to the wire. What a chunk's length counts, the specification says with each type; here every type is
// a struct, and the length is what the struct has behind the head.
#include "common/protocol/structured_reply.hh"

namespace holdfast::nbd {

namespace {

WireChunk head(Chunk type, const Request& request, std::size_t payload, bool last) noexcept {
    return {structured_reply_magic, last ? reply_flag_done : std::uint16_t{0},
            static_cast<std::uint16_t>(type), request.cookie, static_cast<std::uint32_t>(payload)};
}

// The payload of a chunk that is written as one struct.
template <WireStruct T>
constexpr std::size_t payload_of = sizeof(T) - sizeof(WireChunk);

bool is_read(const Request& request) noexcept {
    return request.command == static_cast<std::uint16_t>(Command::read);
}

}  // namespace

ReplyHead success_reply(const Request& request, const Offer& offer) noexcept {
    // "MUST NOT use a simple reply for NBD_CMD_READ", and every content chunk has at least one byte.
    if (offer.structured_replies && is_read(request)) return ReplyHead(head(Chunk::none, request, 0, true));
    return ReplyHead(encode_simple_reply({ErrorCode::none, request.cookie}));
}

ReplyHead error_reply(const Request& request, ErrorCode error, const Offer& offer) noexcept {
    if (!offer.structured_replies) return ReplyHead(encode_simple_reply({error, request.cookie}));
    return ReplyHead(WireErrorChunk{head(Chunk::error, request, payload_of<WireErrorChunk>, true),
                                    static_cast<std::uint32_t>(error), 0});
}

ReplyHead error_reply_at(const Request& request, ErrorCode error, std::uint64_t offset) noexcept {
    return ReplyHead(
        WireErrorOffsetChunk{head(Chunk::error_offset, request, payload_of<WireErrorOffsetChunk>, true),
                             static_cast<std::uint32_t>(error), 0, offset});
}

bool may_fragment(const Request& request, const Offer& offer) noexcept {
    return offer.structured_replies && (request.flags & cmd_flag_df) == 0;
}

ReplyHead data_reply(const Request& request, const Offer& offer) noexcept {
    if (!offer.structured_replies) return ReplyHead(encode_simple_reply({ErrorCode::none, request.cookie}));
    return data_chunk(request, {request.offset, request.length, true});
}

std::size_t size_of_data_reply(const Offer& offer) noexcept {
    return offer.structured_replies ? sizeof(WireDataChunk) : sizeof(WireSimpleReply);
}

ReplyHead data_chunk(const Request& request, const Part& part) noexcept {
    const std::size_t payload = payload_of<WireDataChunk> + part.length;
    return ReplyHead(WireDataChunk{head(Chunk::offset_data, request, payload, part.last), part.offset});
}

ReplyHead hole_chunk(const Request& request, const Part& part) noexcept {
    return ReplyHead(WireHoleChunk{head(Chunk::offset_hole, request, payload_of<WireHoleChunk>, part.last),
                                   part.offset, part.length});
}

std::span<const std::uint8_t> encode_status_reply(
    const Request& request, std::span<const StatusExtent> extents,
    std::span<std::uint8_t, longest_status_reply> out) noexcept {
    const std::size_t payload = payload_of<WireStatusChunk> + extents.size() * sizeof(WireStatusExtent);
    std::size_t size = 0;
    const auto put = [&](const auto& wire) {
        std::memcpy(out.data() + size, &wire, sizeof wire);
        size += sizeof wire;
    };
    put(WireStatusChunk{head(Chunk::block_status, request, payload, true), base_allocation_id});
    for (const StatusExtent& one : extents) put(WireStatusExtent{one.length, one.state});
    return out.first(size);
}

}  // namespace holdfast::nbd
