// One function a kind of command.

#include "server/requests.hh"

#include <fmt/format.h>

#include <bit>

#include "common/linux/log.hh"
#include "server/block_status.hh"

namespace holdfast::server {

using nbd::Command;
using nbd::ErrorCode;
using nbd::ReplyHead;
using nbd::Request;

namespace {

// Below this, looking for a hole costs more than it saves.
constexpr std::uint64_t least_hole = 64U << 10;

}  // namespace

Requests::Requests(const nbd::Offer& offer, const OpenExport& opened, std::string label)
    : offer_(offer),
      config_(opened.config()),
      volume_(opened.volume()),
      writer_(opened.writer()),
      label_(std::move(label)) {}

bool Requests::is_durable(const Request& request) const {
    return (request.flags & nbd::cmd_flag_fua) != 0 || config_.durable_writes();
}

bool Requests::waits_for_disk(const Request& request) const {
    if (volume_.always_waits()) return true;
    switch (static_cast<Command>(request.command)) {
        case Command::read: return false;
        case Command::write: return is_durable(request);
        case Command::flush:
        case Command::trim:
        case Command::write_zeroes:
        case Command::disconnect:
        case Command::cache:
        case Command::block_status: break;
    }
    return true;
}

std::optional<Result<void>> Requests::try_read(const Request& request, std::span<std::uint8_t> into) const {
    return volume_.try_read(into, request.offset);
}

bool Requests::try_read(const Request& request, PagePipe& into) const {
    return into.fill(volume_, request.offset, request.length);
}

Result<void> Requests::carry_out(const Request& request, std::span<std::uint8_t> data) const {
    switch (static_cast<Command>(request.command)) {
        case Command::read: return volume_.read(data, request.offset);
        case Command::write: return volume_.write(data, request.offset, is_durable(request));
        case Command::flush: return volume_.flush(writer_);
        case Command::trim:
        case Command::write_zeroes: return change_range(request);
        case Command::cache: return volume_.cache(request.offset, request.length);
        case Command::disconnect:
        case Command::block_status: break;
    }
    return std::unexpected(SysError{EINVAL, "a command that is not offered"});
}

Result<void> Requests::change_range(const Request& request) const {
    if (request.length == 0) return {};
    // Without trim nothing is unmapped: the administrator may want the space to stay reserved.
    const bool may_unmap =
        (request.flags & nbd::cmd_flag_no_hole) == 0 && (offer_.flags & nbd::flag_send_trim) != 0;
    const bool fast = (request.flags & nbd::cmd_flag_fast_zero) != 0;
    const Result<void> done = request.command == static_cast<std::uint16_t>(Command::trim)
                                  ? volume_.trim(request.offset, request.length)
                                  : volume_.zero(request.offset, request.length, {may_unmap, fast});
    if (!done || !is_durable(request)) return done;
    return volume_.flush(writer_);
}

Result<void> Requests::read_piece(const Request& request, std::uint64_t done,
                                  std::span<std::uint8_t> into) const {
    return volume_.read(into, request.offset + done);
}

Result<void> Requests::write_piece(const Request& request, std::uint64_t done,
                                   std::span<const std::uint8_t> from) const {
    return volume_.write(from, request.offset + done, is_durable(request));
}

Result<std::vector<nbd::StatusExtent>> Requests::block_status(const Request& request) const {
    std::array<nbd::StatusExtent, nbd::most_extents> extents;
    const auto found = find_extents(volume_, request, offer_.block_sizes.minimum, extents);
    if (!found) return std::unexpected(found.error());
    return std::vector<nbd::StatusExtent>(found->begin(), found->end());
}

bool Requests::is_hole(const Request& request, const nbd::Part& part) const {
    if (part.length < least_hole || !volume_.may_have_holes() || !nbd::may_fragment(request, offer_))
        return false;
    const Result<Extent> found = volume_.extent_at(part.offset, part.length);
    return found && found->hole && found->length == part.length;
}

ReplyHead Requests::reply(const Request& request, const Result<void>& outcome) {
    const bool has_data = request.command == static_cast<std::uint16_t>(Command::read) && request.length > 0;
    if (outcome) return has_data ? nbd::data_reply(request, offer_) : nbd::success_reply(request, offer_);
    if (has_data && nbd::may_fragment(request, offer_))
        return reply_failed_at(request, outcome.error(), request.offset);
    const ErrorCode error = nbd::error_of(request, outcome.error().code);
    // ENOTSUP is what a client that asks for fast zeroes wants to know.
    if (error != ErrorCode::enotsup) log_failure(request, outcome.error());
    return nbd::error_reply(request, error, offer_);
}

ReplyHead Requests::reply_failed_at(const Request& request, const SysError& error, std::uint64_t offset) {
    log_failure(request, error);
    return nbd::error_reply_at(request, nbd::error_of(request, error.code), offset);
}

ReplyHead Requests::refuse(const Request& request, ErrorCode error) const {
    log::debug(fmt::format("{}: request {} ({} bytes at {}, flags {:#x}) refused: {}", label_,
                           request.command, request.length, request.offset, request.flags,
                           nbd::name_of(error)));
    return nbd::error_reply(request, error, offer_);
}

// A disk that fails, fails often: after the first few, only the 32nd, the 64th and so on are worth a line.
void Requests::log_failure(const Request& request, const SysError& error) {
    ++failures_;
    if (failures_ > 16 && !std::has_single_bit(failures_)) return;
    log::error(fmt::format(
        "{}: {} of {} bytes at {}: {}{}", label_, nbd::name_of(static_cast<Command>(request.command)),
        request.length, request.offset, error.message(),
        failures_ > 16 ? fmt::format(" ({} failures on this connection)", failures_) : ""));
}

}  // namespace holdfast::server
