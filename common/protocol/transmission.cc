// Encodes and decodes requests and simple replies, and judges a request before it is executed. Only numbers
// here, so that every edge of every check can be tested without a device.
#include "common/protocol/transmission.hh"

#include <algorithm>
#include <cerrno>

namespace holdfast::nbd {

namespace {

// "Error values": a client should treat an unexpected value as EINVAL.
ErrorCode error_from_wire(std::uint32_t value) noexcept {
    const auto error = static_cast<ErrorCode>(value);
    switch (error) {
        case ErrorCode::none:
        case ErrorCode::eperm:
        case ErrorCode::eio:
        case ErrorCode::enomem:
        case ErrorCode::einval:
        case ErrorCode::enospc:
        case ErrorCode::eoverflow:
        case ErrorCode::enotsup:
        case ErrorCode::eshutdown: return error;
    }
    return ErrorCode::einval;
}

// Rules of the specification for a command.
struct CommandRules {
    std::uint16_t needs;   // transmission flag that offers the command; 0: always available
    std::uint16_t flags;   // valid command flags, except FUA
    bool modifies;         // EPERM on a read-only export
    bool held_to_maximum;  // the maximum block size applies
    ErrorCode beyond_the_end;
};

// Allows trim above the maximum block size, as the specification does. Zeroes should respect that maximum,
// but Linux, which does not learn the maximum, sends up to 4 GiB at a time and would turn EINVAL into an I/O
// error. Both carry no data and are cheap at any length.
constexpr CommandRules read_rules{0, cmd_flag_df, false, true, ErrorCode::einval};
constexpr CommandRules write_rules{0, 0, true, true, ErrorCode::enospc};
constexpr CommandRules trim_rules{flag_send_trim, 0, true, false, ErrorCode::einval};
constexpr CommandRules cache_rules{flag_send_cache, 0, false, true, ErrorCode::einval};
constexpr CommandRules zeroes_rules{flag_send_write_zeroes, cmd_flag_no_hole | cmd_flag_fast_zero, true,
                                    false, ErrorCode::enospc};
constexpr CommandRules status_rules{0, cmd_flag_req_one, false, false, ErrorCode::einval};

// Checks the flags; some are valid only if the handshake offered them. FUA goes with every command.
bool flags_allowed(std::uint16_t flags, std::uint16_t of_command, std::uint16_t offered) noexcept {
    std::uint32_t allowed = of_command;
    if (!(offered & flag_send_df)) allowed &= ~std::uint32_t{cmd_flag_df};
    if (!(offered & flag_send_fast_zero)) allowed &= ~std::uint32_t{cmd_flag_fast_zero};
    if (offered & flag_send_fua) allowed |= cmd_flag_fua;
    return (flags & ~allowed) == 0;
}

bool has_flags(const Offer& offer, std::uint16_t flags) noexcept { return (offer.flags & flags) == flags; }

// Returns the error of a command that names a range, or none.
ErrorCode check_range(const Request& request, const Offer& offer, const CommandRules& rules) noexcept {
    if (rules.modifies && has_flags(offer, flag_read_only)) return ErrorCode::eperm;
    if (!has_flags(offer, rules.needs)) return ErrorCode::einval;
    if (!flags_allowed(request.flags, rules.flags, offer.flags)) return ErrorCode::einval;
    const BlockSizes& sizes = offer.block_sizes;
    if (rules.held_to_maximum && request.length > sizes.maximum) return ErrorCode::einval;
    const std::uint32_t minimum = std::max(sizes.minimum, std::uint32_t{1});
    if (request.offset % minimum != 0 || request.length % minimum != 0) return ErrorCode::einval;
    if (request.offset > offer.size || request.length > offer.size - request.offset)
        return rules.beyond_the_end;
    return ErrorCode::none;
}

// Refuses a length of zero: an answer has at least one extent, and no extent is empty.
ErrorCode check_block_status(const Request& request, const Offer& offer) noexcept {
    if (!offer.block_status || request.length == 0) return ErrorCode::einval;
    return check_range(request, offer, status_rules);
}

// "For a flush request, length and offset are reserved, and MUST be set to all-zero."
ErrorCode check_flush(const Request& request, const Offer& offer) noexcept {
    if (!has_flags(offer, flag_send_flush)) return ErrorCode::einval;
    if (!flags_allowed(request.flags, 0, offer.flags)) return ErrorCode::einval;
    return request.offset == 0 && request.length == 0 ? ErrorCode::none : ErrorCode::einval;
}

ErrorCode check(const Request& request, const Offer& offer) noexcept {
    switch (static_cast<Command>(request.command)) {
        case Command::read: return check_range(request, offer, read_rules);
        case Command::write: return check_range(request, offer, write_rules);
        case Command::trim: return check_range(request, offer, trim_rules);
        case Command::cache: return check_range(request, offer, cache_rules);
        case Command::write_zeroes: return check_range(request, offer, zeroes_rules);
        case Command::flush: return check_flush(request, offer);
        case Command::disconnect: return ErrorCode::none;
        case Command::block_status: return check_block_status(request, offer);
    }
    return ErrorCode::einval;
}

// Maximum payload to read only to answer EINVAL. A client may always send 32 MiB, so twice that value leaves
// room for a slightly oversized request.
std::uint64_t longest_skip(const Offer& offer) noexcept {
    return 2 * std::uint64_t{std::max(largest_payload, offer.block_sizes.maximum)};
}

}  // namespace

std::optional<Request> decode_request(std::span<const std::uint8_t, sizeof(WireRequest)> bytes) noexcept {
    const auto wire = load<WireRequest>(bytes);
    if (wire.magic != request_magic) return std::nullopt;
    return Request{wire.flags, wire.command, wire.cookie, wire.offset, wire.length};
}

WireRequest encode_request(const Request& request) noexcept {
    return {request_magic, request.flags, request.command, request.cookie, request.offset, request.length};
}

std::optional<SimpleReply> decode_simple_reply(
    std::span<const std::uint8_t, sizeof(WireSimpleReply)> bytes) noexcept {
    const auto wire = load<WireSimpleReply>(bytes);
    if (wire.magic != simple_reply_magic) return std::nullopt;
    return SimpleReply{error_from_wire(wire.error), wire.cookie};
}

WireSimpleReply encode_simple_reply(const SimpleReply& reply) noexcept {
    return {simple_reply_magic, static_cast<std::uint32_t>(reply.error), reply.cookie};
}

Judgement judge(const Request& request, const Offer& offer) noexcept {
    const auto command = static_cast<Command>(request.command);
    const bool has_payload = command == Command::write;
    if (command == Command::disconnect || (has_payload && request.length > longest_skip(offer)))
        return {Verdict::disconnect, ErrorCode::none, 0};
    const ErrorCode error = check(request, offer);
    if (error == ErrorCode::none) return {};
    return {Verdict::refuse, error, has_payload ? request.length : 0};
}

ErrorCode error_from_errno(int code) noexcept {
    switch (code) {
        case 0: return ErrorCode::none;
        case EPERM:
        case EACCES:
        case EROFS: return ErrorCode::eperm;
        case ENOMEM: return ErrorCode::enomem;
        case ENOSPC:
        case EDQUOT:
        case EFBIG: return ErrorCode::enospc;
        // ENOTSUP and EOVERFLOW are reserved on the wire for fast zeroes and for reads with DF that are too
        // long.
        case EINVAL:
        case EOPNOTSUPP:
        case EOVERFLOW: return ErrorCode::einval;
        case ESHUTDOWN: return ErrorCode::eshutdown;
        default: return ErrorCode::eio;
    }
}

ErrorCode error_of(const Request& request, int code) noexcept {
    const bool fast_zeroes = request.command == static_cast<std::uint16_t>(Command::write_zeroes) &&
                             (request.flags & cmd_flag_fast_zero) != 0;
    return fast_zeroes && code == EOPNOTSUPP ? ErrorCode::enotsup : error_from_errno(code);
}

const char* name_of(ErrorCode error) noexcept {
    switch (error) {
        case ErrorCode::none: return "no error";
        case ErrorCode::eperm: return "EPERM";
        case ErrorCode::eio: return "EIO";
        case ErrorCode::enomem: return "ENOMEM";
        case ErrorCode::einval: return "EINVAL";
        case ErrorCode::enospc: return "ENOSPC";
        case ErrorCode::eoverflow: return "EOVERFLOW";
        case ErrorCode::enotsup: return "ENOTSUP";
        case ErrorCode::eshutdown: return "ESHUTDOWN";
    }
    return "unknown error";
}

const char* name_of(Command command) noexcept {
    switch (command) {
        case Command::read: return "READ";
        case Command::write: return "WRITE";
        case Command::disconnect: return "DISC";
        case Command::flush: return "FLUSH";
        case Command::trim: return "TRIM";
        case Command::cache: return "CACHE";
        case Command::write_zeroes: return "WRITE_ZEROES";
        case Command::block_status: return "BLOCK_STATUS";
    }
    return "unknown command";
}

}  // namespace holdfast::nbd
