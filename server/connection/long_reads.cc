// Structured replies may fail in the middle; simple replies may not.

#include "server/connection/long_reads.hh"

#include <algorithm>

namespace holdfast::server {
namespace {

std::span<std::uint8_t> piece_at(std::uint64_t done, const nbd::Request& request,
                                 std::span<std::uint8_t> area) {
    return area.first(std::min<std::uint64_t>(area.size(), request.length - done));
}

}  // namespace

std::expected<void, std::string> LongReads::read(const nbd::Request& request) {
    const std::span<std::uint8_t> area = buffers_.take_most(long_request_piece, unit_);
    if (area.empty()) return std::unexpected("no memory is left for a request");
    Outcome outcome =
        nbd::may_fragment(request, offer_) ? read_in_chunks(request, area) : read_in_pieces(request, area);
    buffers_.give(area);
    return outcome;
}

// A structured reply reports success only at its end, so each piece is read and sent. If a piece fails, the
// reply contains its offset.
LongReads::Outcome LongReads::read_in_chunks(const nbd::Request& request, std::span<std::uint8_t> area) {
    for (std::uint64_t done = 0; done < request.length;) {
        if (order_ == Order::fence) return {};
        const std::span<std::uint8_t> piece = piece_at(done, request, area);
        const nbd::Part part{request.offset + done, static_cast<std::uint32_t>(piece.size()),
                             done + piece.size() == request.length};
        const bool hole = requests_.is_hole(request, part);
        if (!hole) {
            if (const Result<void> got = requests_.read_piece(request, done, piece); !got) {
                counters_.finished(request.command, 0, false);
                replies_.add(requests_.reply_failed_at(request, got.error(), part.offset).bytes());
                return {};
            }
        }
        const Result<void> sent = hole ? sender_.send(nbd::hole_chunk(request, part).bytes(), !part.last)
                                       : send_chunk(request, part, piece);
        if (!sent) return lost(sent.error());
        done += piece.size();
    }
    counters_.finished(request.command, request.length, true);
    return {};
}

Result<void> LongReads::send_chunk(const nbd::Request& request, const nbd::Part& part,
                                   std::span<const std::uint8_t> data) {
    if (Result<void> sent = sender_.send(nbd::data_chunk(request, part).bytes(), true); !sent) return sent;
    return sender_.send(data, !part.last);
}

// A simple reply reports success before its data. So the whole range is read once as a check, which also
// brings the data into the page cache, and then again piece by piece for sending.
LongReads::Outcome LongReads::read_in_pieces(const nbd::Request& request, std::span<std::uint8_t> area) {
    if (!check_range(request, area)) return {};
    return send_range(request, area);
}

bool LongReads::check_range(const nbd::Request& request, std::span<std::uint8_t> area) {
    for (std::uint64_t done = 0; done < request.length; done += area.size()) {
        if (order_ == Order::fence) return false;
        const Result<void> got = requests_.read_piece(request, done, piece_at(done, request, area));
        if (got) continue;
        counters_.finished(request.command, request.length, false);
        replies_.add(requests_.reply(request, got).bytes());
        return false;
    }
    return true;
}

LongReads::Outcome LongReads::send_range(const nbd::Request& request, std::span<std::uint8_t> area) {
    if (const Result<void> sent = sender_.send(requests_.reply(request, {}).bytes(), true); !sent)
        return lost(sent.error());
    for (std::uint64_t done = 0; done < request.length; done += area.size()) {
        const std::span<std::uint8_t> piece = piece_at(done, request, area);
        if (const Result<void> got = requests_.read_piece(request, done, piece); !got) {
            requests_.log_failure(request, got.error());
            return std::unexpected("the volume failed after a reply had started to report success");
        }
        if (const Result<void> sent = sender_.send(piece, done + piece.size() < request.length); !sent)
            return lost(sent.error());
    }
    counters_.finished(request.command, request.length, true);
    return {};
}

}  // namespace holdfast::server
