// Every request is judged by its numbers before a byte of memory or disk is touched for it.

#include "server/request_loop.hh"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "common/linux/log.hh"
#include "server/block_status.hh"

namespace holdfast::server {

using nbd::Command;
using nbd::ErrorCode;
using nbd::ReplyHead;
using nbd::Request;

RequestLoop::RequestLoop(int socket, const nbd::Offer& offer, OpenExport& opened, std::string label,
                         const std::atomic<Order>& order, std::atomic<bool>& sending)
    : socket_(socket),
      offer_(offer),
      config_(opened.config()),
      volume_(opened.volume()),
      writer_(opened.writer()),
      counters_(opened.counters()),
      label_(std::move(label)),
      order_(order),
      sending_(sending),
      receiver_(socket) {}

std::string RequestLoop::run() {
    for (;;) {
        std::array<std::uint8_t, sizeof(nbd::WireRequest)> bytes;
        const Received got = receiver_.receive(bytes);
        // What a stopping server has received but not taken up it leaves unanswered: to the client's kernel
        // that is an outage, which it survives, and an error would not be. After a fence it must not be done:
        // the client may have sent it again by then, and something newer after that.
        if (order_ != Order::serve) {
            (void)ended_by_order();
            return why_;
        }
        if (got != Received::complete) {
            (void)ended_receiving(got, false);
            return why_;
        }
        const std::optional<Request> request = nbd::decode_request(bytes);
        if (!request) return "the client sent something that is no request";
        if (serve(*request) == Next::end) return why_;
    }
}

RequestLoop::Next RequestLoop::serve(const Request& request) {
    const nbd::Judgement judgement = nbd::judge(request, offer_);
    counters_.taken_up();
    switch (judgement.verdict) {
        case nbd::Verdict::serve: break;
        case nbd::Verdict::refuse: return refuse(request, judgement);
        case nbd::Verdict::disconnect:
            return end(request.command == static_cast<std::uint16_t>(Command::disconnect)
                           ? "disconnected"
                           : fmt::format("the client sent a request of {} bytes", request.length));
    }
    switch (static_cast<Command>(request.command)) {
        case Command::read: return read(request);
        case Command::write: return write(request);
        case Command::flush:
        case Command::trim:
        case Command::cache:
        case Command::write_zeroes: return reply(request, carry_out(request));
        case Command::block_status: return block_status(request);
        case Command::disconnect: break;
    }
    return reply(request, std::unexpected(SysError{EINVAL, "a command that is not offered"}));
}

bool RequestLoop::is_durable(const Request& request) const {
    return (request.flags & nbd::cmd_flag_fua) != 0 || config_.durable_writes();
}

// The commands without data.
Result<void> RequestLoop::carry_out(const Request& request) {
    const auto command = static_cast<Command>(request.command);
    if (command == Command::flush) return volume_.flush(writer_);
    if (command == Command::cache) return volume_.cache(request.offset, request.length);
    if (request.length == 0) return {};
    // Without trim nothing is unmapped: the administrator may want the space to stay reserved.
    const bool may_unmap =
        (request.flags & nbd::cmd_flag_no_hole) == 0 && (offer_.flags & nbd::flag_send_trim) != 0;
    const bool fast = (request.flags & nbd::cmd_flag_fast_zero) != 0;
    const Result<void> done = command == Command::trim
                                  ? volume_.trim(request.offset, request.length)
                                  : volume_.zero(request.offset, request.length, {may_unmap, fast});
    if (!done || !is_durable(request)) return done;
    return volume_.flush(writer_);
}

RequestLoop::Next RequestLoop::block_status(const Request& request) {
    std::array<nbd::StatusExtent, nbd::most_extents> extents;
    const auto found = find_extents(volume_, request, offer_.block_sizes.minimum, extents);
    if (!found) return reply(request, std::unexpected(found.error()));
    counters_.finished(request.command, request.length, true);
    std::array<std::uint8_t, nbd::longest_status_reply> bytes;
    return send(nbd::encode_status_reply(request, *found, bytes));
}

RequestLoop::Next RequestLoop::read(const Request& request) {
    if (request.length == 0) return reply(request, {});
    if (nbd::may_fragment(request, offer_)) return read_in_chunks(request);
    if (request.length > piece) return read_in_pieces(request);
    const std::span<std::uint8_t> data = buffer(request.length);
    if (const Result<void> done = volume_.read(data, request.offset); !done) return reply(request, done);
    counters_.finished(request.command, request.length, true);
    return send(with_head(nbd::data_reply(request, offer_), data));
}

bool RequestLoop::is_hole(const nbd::Part& part) const {
    if (part.length < least_hole || !volume_.may_have_holes()) return false;
    const Result<Extent> found = volume_.extent_at(part.offset, part.length);
    return found && found->hole && found->length == part.length;
}

// A structured reply promises nothing before it is complete, so each piece is read and sent, and where one
// fails, the reply says where.
RequestLoop::Next RequestLoop::read_in_chunks(const Request& request) {
    const std::uint64_t stop = request.offset + request.length;
    for (std::uint64_t offset = request.offset; offset < stop;) {
        const auto length = static_cast<std::uint32_t>(std::min<std::uint64_t>(piece, stop - offset));
        const nbd::Part part{offset, length, offset + length == stop};
        offset += length;
        if (is_hole(part)) {
            if (send(nbd::hole_chunk(request, part).bytes(), !part.last) == Next::end) return Next::end;
            continue;
        }
        const std::span<std::uint8_t> data = buffer(part.length);
        if (const Result<void> done = volume_.read(data, part.offset); !done) {
            log_failure(request, done.error());
            const ErrorCode error = nbd::error_of(request, done.error().code);
            counters_.finished(request.command, 0, false);
            return send(nbd::error_reply_at(request, error, part.offset).bytes());
        }
        if (order_ == Order::fence) return ended_by_order();
        if (send(with_head(nbd::data_chunk(request, part), data), !part.last) == Next::end) return Next::end;
    }
    counters_.finished(request.command, request.length, true);
    return Next::go_on;
}

// A simple reply says at its beginning whether all of the data can be read. So the whole range is read once
// to know, which also brings it into the page cache, and then again piece by piece to be sent.
RequestLoop::Next RequestLoop::read_in_pieces(const Request& request) {
    const std::uint64_t stop = request.offset + request.length;
    const auto piece_at = [&](std::uint64_t offset) {
        return buffer(std::min<std::uint64_t>(piece, stop - offset));
    };
    for (std::uint64_t offset = request.offset; offset < stop; offset += piece) {
        if (const Result<void> done = volume_.read(piece_at(offset), offset); !done)
            return reply(request, done);
        if (order_ == Order::fence) return ended_by_order();
    }
    if (send(nbd::data_reply(request, offer_).bytes(), true) == Next::end) return Next::end;
    for (std::uint64_t offset = request.offset; offset < stop; offset += piece) {
        const std::span<std::uint8_t> data = piece_at(offset);
        if (const Result<void> done = volume_.read(data, offset); !done) {
            log_failure(request, done.error());
            return end("the volume failed within a reply that had promised success");
        }
        if (send(data, offset + piece < stop) == Next::end) return Next::end;
    }
    counters_.finished(request.command, request.length, true);
    return Next::go_on;
}

RequestLoop::Next RequestLoop::write(const Request& request) {
    Result<void> outcome;
    std::uint64_t done = 0;
    while (done < request.length) {
        const std::span<std::uint8_t> data = buffer(std::min<std::uint64_t>(piece, request.length - done));
        if (const Received got = receiver_.receive(data); got != Received::complete)
            return ended_receiving(got, true);
        // Also when it is all here: what was sent before the fence can be read behind it.
        if (order_ == Order::fence) return ended_by_order();
        outcome = volume_.write(data, request.offset + done, is_durable(request));
        done += data.size();
        if (outcome) continue;
        if (const Received got = receiver_.skip(request.length - done); got != Received::complete) {
            return ended_receiving(got, true);
        }
        break;
    }
    return reply(request, outcome);
}

RequestLoop::Next RequestLoop::refuse(const Request& request, const nbd::Judgement& judgement) {
    log::debug(fmt::format("{}: request {} ({} bytes at {}, flags {:#x}) refused: {}", label_,
                           request.command, request.length, request.offset, request.flags,
                           nbd::name_of(judgement.error)));
    if (const Received got = receiver_.skip(judgement.payload_to_skip); got != Received::complete) {
        return ended_receiving(got, true);
    }
    counters_.finished(request.command, 0, false);
    return send(nbd::error_reply(request, judgement.error, offer_).bytes());
}

RequestLoop::Next RequestLoop::reply(const Request& request, const Result<void>& outcome) {
    counters_.finished(request.command, request.length, outcome.has_value());
    if (outcome) return send(nbd::success_reply(request, offer_).bytes());
    const ErrorCode error = nbd::error_of(request, outcome.error().code);
    // ENOTSUP is what a client that asks for fast zeroes wants to know.
    if (error != ErrorCode::enotsup) log_failure(request, outcome.error());
    return send(nbd::error_reply(request, error, offer_).bytes());
}

RequestLoop::Next RequestLoop::send(std::span<const std::uint8_t> data, bool more_follows) {
    sending_ = true;
    const Result<void> sent = send_all(socket_, data, more_follows);
    sending_ = false;
    if (!sent && order_ == Order::fence) return ended_by_order();
    if (!sent && sent.error().code == EAGAIN) {
        return end(fmt::format("its client took nothing of a reply for {} s (stalltimeout)",
                               config_.stalltimeout.count()));
    }
    if (!sent) return end("the link is lost: " + sent.error().message());
    return Next::go_on;
}

RequestLoop::Next RequestLoop::end(std::string why) {
    why_ = std::move(why);
    return Next::end;
}

RequestLoop::Next RequestLoop::ended_by_order() {
    return end(order_ == Order::fence ? "fenced, for a newer connection of its session" : "the server stops");
}

RequestLoop::Next RequestLoop::ended_receiving(Received how, bool within_request) {
    const int error = errno;
    if (order_ != Order::serve) return ended_by_order();
    switch (how) {
        case Received::complete: break;
        case Received::closed:
            return end(within_request ? "the link was closed within a request" : "the link was closed");
        case Received::timed_out: return end(fmt::format("idle for {} s (timeout)", config_.timeout.count()));
        case Received::failed: break;
    }
    return end("the link is lost: " + SysError{error, "recv"}.message());
}

std::span<std::uint8_t> RequestLoop::buffer(std::size_t size) {
    if (size > buffer_size_) {
        buffer_size_ = std::min(std::bit_ceil(std::max<std::size_t>(size, 65536)), piece);
        buffer_.reset();  // first, so that there are never two of them
        buffer_.reset(static_cast<std::uint8_t*>(
            ::operator new[](before_data + buffer_size_, std::align_val_t{data_alignment})));
    }
    return {buffer_.get() + before_data, size};
}

std::span<const std::uint8_t> RequestLoop::with_head(const ReplyHead& head, std::span<std::uint8_t> data) {
    std::uint8_t* const first = data.data() - head.size();
    std::ranges::copy(head.bytes(), first);
    return {first, head.size() + data.size()};
}

// A disk that fails, fails often: after the first few, only the 32nd, the 64th and so on are worth a line.
void RequestLoop::log_failure(const Request& request, const SysError& error) {
    ++failures_;
    if (failures_ > 16 && !std::has_single_bit(failures_)) return;
    log::error(fmt::format(
        "{}: {} of {} bytes at {}: {}{}", label_, nbd::name_of(static_cast<Command>(request.command)),
        request.length, request.offset, error.message(),
        failures_ > 16 ? fmt::format(" ({} failures on this connection)", failures_) : ""));
}

}  // namespace holdfast::server
