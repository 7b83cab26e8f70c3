// Requests and simple replies, for both sides: decode, encode, and the checks that need only numbers.
// Structured replies are written by structured_reply.hh; the kernel's client and ours never ask for them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "common/protocol/constants.hh"
#include "common/protocol/wire.hh"

namespace holdfast::nbd {

struct Request {
    std::uint16_t flags = 0;
    std::uint16_t command = 0;  // as it came: may be a number that `Command` does not have
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

// nullopt when the magic is wrong: the connection has lost its sync and must be dropped.
[[nodiscard]] std::optional<Request> decode_request(
    std::span<const std::uint8_t, sizeof(WireRequest)> bytes) noexcept;
[[nodiscard]] WireRequest encode_request(const Request& request) noexcept;
[[nodiscard]] std::optional<SimpleReply> decode_simple_reply(
    std::span<const std::uint8_t, sizeof(WireSimpleReply)> bytes) noexcept;
[[nodiscard]] WireSimpleReply encode_simple_reply(const SimpleReply& reply) noexcept;

// What was offered to this client in the handshake: the limits that its requests are held to.
struct Offer {
    std::uint64_t size = 0;
    std::uint16_t flags = 0;  // transmission flags
    BlockSizes block_sizes;
    bool structured_replies = false;  // the client asked for them; with flag_send_df in `flags`
    bool block_status = false;        // and selected base:allocation for this export
};

// What a server does with a request, decided before anything is allocated or done.
enum class Verdict : std::uint8_t {
    serve,       // do it
    refuse,      // answer with `error`; a write's payload is still to be read and thrown away
    disconnect,  // NBD_CMD_DISC, or a payload so large that keeping in sync is not worth it: no answer
};

struct Judgement {
    Verdict verdict = Verdict::serve;
    ErrorCode error = ErrorCode::none;  // gives meaning to `refuse`
    std::uint32_t payload_to_skip = 0;  // gives meaning to `refuse`: bytes that follow the request

    bool operator==(const Judgement&) const = default;
};

// By "Request types" and "Error values" of the specification: commands that were not offered and unknown
// commands or flags EINVAL, writes to a read-only export EPERM, beyond the end EINVAL for reads and ENOSPC
// for writes, offset or length not a multiple of the minimum block size EINVAL, a read, write or cache of
// more than the maximum block size EINVAL (trim, zeroes and block status carry no data and may be longer), a
// read with DF is judged as any other, a flush that names a range EINVAL, a block status
// of nothing EINVAL, any other zero length is served as nothing. Never overflows: a request that is served
// lies within the export.
[[nodiscard]] Judgement judge(const Request& request, const Offer& offer) noexcept;

// The nearest NBD error for an errno of this system: EPERM and EROFS to eperm, ENOSPC, EDQUOT and EFBIG to
// enospc, ...
[[nodiscard]] ErrorCode error_from_errno(int code) noexcept;
// The error of a request that failed with an errno: as above, but EOPNOTSUPP of zeroes that were to be fast
// is enotsup, the answer that such a request asks for.
[[nodiscard]] ErrorCode error_of(const Request& request, int code) noexcept;
[[nodiscard]] const char* name_of(ErrorCode error) noexcept;
[[nodiscard]] const char* name_of(Command command) noexcept;

}  // namespace holdfast::nbd
