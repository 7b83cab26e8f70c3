// Encodes chunks. The specification defines for each type which bytes a chunk's length counts; here every
// type is a struct, and the length is the struct's size after the head.
#include "common/protocol/structured_reply.hh"

#include <algorithm>

namespace holdfast::nbd {

namespace {

WireChunk head(Chunk type, const Request& request, std::size_t payload, bool last) noexcept {
    return {structured_reply_magic, last ? reply_flag_done : std::uint16_t{0},
            static_cast<std::uint16_t>(type), request.cookie, static_cast<std::uint32_t>(payload)};
}

// Payload size of a chunk that is written as a single struct.
template <WireStruct T>
constexpr std::size_t payload_of = sizeof(T) - sizeof(WireChunk);

bool is_read(const Request& request) noexcept {
    return request.command == static_cast<std::uint16_t>(Command::read);
}

// `more`: number of bytes after the text.
ReplyHead error_chunk(Chunk type, const Request& request, ErrorCode error, std::string_view text,
                      std::size_t more) noexcept {
    text = text.substr(0, longest_error_text);
    const std::size_t payload = payload_of<WireErrorChunk> + text.size() + more;
    ReplyHead reply(WireErrorChunk{head(type, request, payload, true), static_cast<std::uint32_t>(error),
                                   static_cast<std::uint16_t>(text.size())});
    reply.add({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
    return reply;
}

}  // namespace

ReplyHead success_reply(const Request& request, const Offer& offer) noexcept {
    // "MUST NOT use a simple reply for NBD_CMD_READ", and every content chunk has at least one byte.
    if (offer.structured_replies && is_read(request)) return ReplyHead(head(Chunk::none, request, 0, true));
    return ReplyHead(encode_simple_reply({ErrorCode::none, request.cookie}));
}

ReplyHead error_reply(const Request& request, ErrorCode error, const Offer& offer,
                      std::string_view text) noexcept {
    if (!offer.structured_replies) return ReplyHead(encode_simple_reply({error, request.cookie}));
    return error_chunk(Chunk::error, request, error, text, 0);
}

ReplyHead error_reply_at(const Request& request, ErrorCode error, std::uint64_t offset,
                         std::string_view text) noexcept {
    const be64 where(offset);
    ReplyHead reply = error_chunk(Chunk::error_offset, request, error, text, sizeof where);
    reply.add(bytes_of(where));
    return reply;
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

bool is_aligned(const Request& request, const Offer& offer) noexcept {
    const std::uint32_t minimum = std::max(offer.block_sizes.minimum, std::uint32_t{1});
    return request.offset % minimum == 0 && request.length % minimum == 0;
}

std::string_view reason_of_refusal(const Request& request, const Offer& offer, ErrorCode error) noexcept {
    if (error == ErrorCode::eperm) return "the export is read-only";
    if (error == ErrorCode::enospc) return "beyond the end of the export";
    if (static_cast<Command>(request.command) == Command::flush) return "this kind of flush was not offered";
    if (!is_aligned(request, offer))
        return "offset or length is not a multiple of the export's minimum block size";
    if (request.length > offer.block_sizes.maximum) return "longer than the export's maximum block size";
    if (request.offset > offer.size || request.length > offer.size - request.offset)
        return "beyond the end of the export";
    return "the command, or one of its flags, was not offered";
}

}  // namespace holdfast::nbd
