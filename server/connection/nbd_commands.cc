// Dispatches requests by command to the volume.

#include "server/connection/nbd_commands.hh"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "common/linux/log.hh"
#include "common/text/plural.hh"
#include "server/connection/block_status.hh"

namespace holdfast::server {

using nbd::Command;
using nbd::ErrorCode;
using nbd::ReplyHead;
using nbd::Request;

namespace {

// Below this length, a probe for a hole costs more than it saves.
constexpr std::uint64_t least_hole = 64U << 10;

// errno of a request that was given up. No disk reports ECANCELED.
constexpr int given_up = ECANCELED;

// Length from `offset` to a multiple of NbdCommands::piece: one to two pieces, so that no piece is a small
// remainder.
std::uint64_t piece_length(std::uint64_t offset, std::uint64_t left) {
    const std::uint64_t end = (offset + 2 * NbdCommands::piece - 1) / NbdCommands::piece * NbdCommands::piece;
    return std::min(left, end - offset);
}

// Error text for the client: without the failed system call.
std::string_view text_of(const SysError& error) {
    const char* const text = ::strerrordesc_np(error.code);
    return text == nullptr ? "unknown error" : text;
}

}  // namespace

NbdCommands::NbdCommands(const nbd::Offer& offer, const OpenExport& opened, const std::atomic<Order>& order,
                         std::string label)
    : offer_(offer),
      config_(opened.config()),
      volume_(opened.volume()),
      writer_(opened.writer()),
      order_(order),
      label_(std::move(label)) {}

bool NbdCommands::is_durable(const Request& request) const {
    return (request.flags & nbd::cmd_flag_fua) != 0 || config_.durable_writes();
}

bool NbdCommands::waits_for_disk(const Request& request) const {
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

std::optional<Result<void>> NbdCommands::try_read(const Request& request,
                                                  std::span<std::uint8_t> into) const {
    return volume_.try_read(into, request.offset);
}

bool NbdCommands::try_read(const Request& request, PagePipe& into) const {
    return into.fill(volume_, request.offset, request.length);
}

Result<void> NbdCommands::carry_out(const Request& request, std::span<std::uint8_t> data) const {
    switch (static_cast<Command>(request.command)) {
        case Command::read: return volume_.read(data, request.offset);
        case Command::write: return volume_.write(data, request.offset, is_durable(request));
        case Command::flush: return volume_.flush(writer_);
        case Command::trim:
        case Command::write_zeroes:
        case Command::cache: return change_range(request);
        case Command::disconnect:
        case Command::block_status: break;
    }
    return std::unexpected(SysError{EINVAL, "the command was not offered"});
}

// A single call for a range of up to 4 GiB could take minutes; a fence or a stop must not wait that long.
Result<void> NbdCommands::change_range(const Request& request) const {
    for (std::uint64_t done = 0; done < request.length;) {
        if (done > 0 && order_ != Order::serve)
            return std::unexpected(SysError{given_up, "interrupted by a fence or a stop"});
        const std::uint64_t length = piece_length(request.offset + done, request.length - done);
        if (const Result<void> changed = change_piece(request, done, length); !changed) return changed;
        done += length;
    }
    const bool changes = request.command != static_cast<std::uint16_t>(Command::cache) && request.length > 0;
    if (!changes || !is_durable(request)) return {};
    return volume_.flush_now();
}

Result<void> NbdCommands::change_piece(const Request& request, std::uint64_t done,
                                       std::uint64_t length) const {
    const std::uint64_t offset = request.offset + done;
    const auto command = static_cast<Command>(request.command);
    if (command == Command::cache) return volume_.cache(offset, length);
    if (command == Command::trim) return volume_.trim(offset, length);
    // Without trim nothing is unmapped: the administrator may want the space to stay reserved.
    const bool may_unmap =
        (request.flags & nbd::cmd_flag_no_hole) == 0 && (offer_.flags & nbd::flag_send_trim) != 0;
    // A refused fast zero must not have changed anything, so only the first piece may be refused.
    const bool fast = (request.flags & nbd::cmd_flag_fast_zero) != 0 && done == 0;
    return volume_.zero(offset, length, {may_unmap, fast});
}

bool NbdCommands::was_given_up(const Result<void>& outcome) {
    return !outcome && outcome.error().code == given_up;
}

Result<void> NbdCommands::read_piece(const Request& request, std::uint64_t done,
                                     std::span<std::uint8_t> into) const {
    return volume_.read(into, request.offset + done);
}

Result<void> NbdCommands::write_piece(const Request& request, std::uint64_t done,
                                      std::span<const std::uint8_t> from) const {
    return volume_.write(from, request.offset + done, is_durable(request));
}

Result<std::vector<nbd::StatusExtent>> NbdCommands::block_status(const Request& request) const {
    std::array<nbd::StatusExtent, nbd::most_extents> extents;
    const auto found = find_extents(volume_, request, offer_.block_sizes.minimum, extents);
    if (!found) return std::unexpected(found.error());
    return std::vector<nbd::StatusExtent>(found->begin(), found->end());
}

bool NbdCommands::is_hole(const Request& request, const nbd::Part& part) const {
    if (part.length < least_hole || !volume_.may_have_holes() || !nbd::may_fragment(request, offer_))
        return false;
    const Result<Extent> found = volume_.extent_at(part.offset, part.length);
    return found && found->hole && found->length == part.length;
}

ReplyHead NbdCommands::reply(const Request& request, const Result<void>& outcome) {
    const bool has_data = request.command == static_cast<std::uint16_t>(Command::read) && request.length > 0;
    if (outcome) return has_data ? nbd::data_reply(request, offer_) : nbd::success_reply(request, offer_);
    if (has_data && nbd::may_fragment(request, offer_))
        return reply_failed_at(request, outcome.error(), request.offset);
    if (request.command == static_cast<std::uint16_t>(Command::flush)) writer_.told();
    const ErrorCode error = nbd::error_of(request, outcome.error().code);
    // ENOTSUP is the expected answer to a request for fast zeroes.
    if (error != ErrorCode::enotsup) log_failure(request, outcome.error());
    return nbd::error_reply(request, error, offer_, text_of(outcome.error()));
}

ReplyHead NbdCommands::reply_failed_at(const Request& request, const SysError& error, std::uint64_t offset) {
    log_failure(request, error);
    return nbd::error_reply_at(request, nbd::error_of(request, error.code), offset, text_of(error));
}

ReplyHead NbdCommands::refuse(const Request& request, ErrorCode error) {
    const std::string_view why = nbd::reason_of_refusal(request, offer_, error);
    const std::string text =
        fmt::format("{}: request {} ({} at {}, flags {:#x}) refused with {}: {}", label_, request.command,
                    counted(request.length, "byte"), request.offset, request.flags, nbd::name_of(error), why);
    // A client error that its user sees as a failing disk, and can correct.
    if (!nbd::is_aligned(request, offer_) && !std::exchange(logged_unaligned_, true)) {
        log::warning(fmt::format("{}, {} bytes; set the client's block size, or cache = writeback here", text,
                                 offer_.block_sizes.minimum));
    } else {
        log::debug(text);
    }
    return nbd::error_reply(request, error, offer_, why);
}

// Limits the log: a failing disk fails often, so after the first 16 failures only the 32nd, the 64th and so
// on are logged.
void NbdCommands::log_failure(const Request& request, const SysError& error) {
    ++failures_;
    if (failures_ > 16 && !std::has_single_bit(failures_)) return;
    log::error(
        fmt::format("{}: {} of {} at {}: {}{}", label_, nbd::name_of(static_cast<Command>(request.command)),
                    counted(request.length, "byte"), request.offset, error.message(),
                    failures_ > 16 ? fmt::format(" ({} failures on this connection)", failures_) : ""));
}

}  // namespace holdfast::server
