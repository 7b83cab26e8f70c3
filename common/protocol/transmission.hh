// Requests and simple replies, for both sides: decoding, encoding, and checks that need only numbers.
// Structured replies are written by structured_reply.hh; neither the kernel's client nor Holdfast's requests
// them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "common/protocol/constants.hh"
#include "common/protocol/wire.hh"

namespace holdfast::nbd {

struct Request {
    std::uint16_t flags = 0;
    std::uint16_t command = 0;  // as received: may be a value not in `Command`
    std::uint64_t cookie = 0;
    std::uint64_t offset = 0;
    std::uint32_t length = 0;

    bool operator==(const Request&) const = default;
};

struct SimpleReply {
    ErrorCode error = ErrorCode::none;
    std::uint64_t cookie = 0;

    bool operator==(const SimpleReply&) const = default;
};

// Returns nullopt if the magic is wrong: the connection is out of sync and must be dropped.
[[nodiscard]] std::optional<Request> decode_request(
    std::span<const std::uint8_t, sizeof(WireRequest)> bytes) noexcept;
[[nodiscard]] WireRequest encode_request(const Request& request) noexcept;
[[nodiscard]] std::optional<SimpleReply> decode_simple_reply(
    std::span<const std::uint8_t, sizeof(WireSimpleReply)> bytes) noexcept;
[[nodiscard]] WireSimpleReply encode_simple_reply(const SimpleReply& reply) noexcept;

// Export parameters negotiated in the handshake: the limits for the client's requests.
struct Offer {
    std::uint64_t size = 0;
    std::uint16_t flags = 0;  // transmission flags
    BlockSizes block_sizes;
    bool structured_replies = false;  // negotiated by the client; with flag_send_df in `flags`
    bool block_status = false;        // base:allocation was selected for this export
};

// Decision on a request, made before the server allocates or does anything.
enum class Verdict : std::uint8_t {
    serve,       // execute the request
    refuse,      // answer with `error`; a write's payload must still be read and discarded
    disconnect,  // NBD_CMD_DISC, or a payload too large to be worth skipping: no answer
};

struct Judgement {
    Verdict verdict = Verdict::serve;
    ErrorCode error = ErrorCode::none;  // valid only for `refuse`
    std::uint32_t payload_to_skip = 0;  // valid only for `refuse`: bytes that follow the request

    bool operator==(const Judgement&) const = default;
};

// Follows "Request types" and "Error values" of the specification: commands not offered and unknown commands
// or flags EINVAL, writes to a read-only export EPERM, beyond the end EINVAL for reads and ENOSPC for writes,
// offset or length not a multiple of the minimum block size EINVAL, a read, write or cache longer than the
// maximum block size EINVAL (trim, zeroes and block status carry no data and may be longer), a read with DF
// like any other read, a flush with a range EINVAL, a block status of length zero EINVAL; any other request
// of length zero succeeds without effect. Never overflows: a request with verdict `serve` lies within the
// export.
[[nodiscard]] Judgement judge(const Request& request, const Offer& offer) noexcept;

// Returns the nearest NBD error for an errno of this system: EPERM and EROFS to eperm, ENOSPC, EDQUOT and
// EFBIG to enospc, ...
[[nodiscard]] ErrorCode error_from_errno(int code) noexcept;
// Returns the error for a request that failed with an errno: as above, but EOPNOTSUPP of a fast-zero request
// is enotsup, the answer that such a request expects.
[[nodiscard]] ErrorCode error_of(const Request& request, int code) noexcept;
[[nodiscard]] const char* name_of(ErrorCode error) noexcept;
[[nodiscard]] const char* name_of(Command command) noexcept;

}  // namespace holdfast::nbd
