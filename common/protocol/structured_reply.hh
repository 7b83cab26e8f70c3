// Heads of a server's replies: simple replies, or chunks of structured replies for clients that negotiated
// them ("Structured reply chunk message"). Only the data of a read follows such a head.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "common/protocol/constants.hh"
#include "common/protocol/transmission.hh"
#include "common/protocol/wire.hh"

namespace holdfast::nbd {

// Maximum length in bytes of an error chunk's message.
inline constexpr std::size_t longest_error_text = 80;

// Bytes in front of a read's data, or a whole reply without data.
class ReplyHead {
public:
    static constexpr std::size_t longest = sizeof(WireErrorOffsetChunk) + longest_error_text;

    template <WireStruct T>
    explicit ReplyHead(const T& wire) noexcept : size_(sizeof wire) {
        static_assert(sizeof wire <= longest);
        std::memcpy(bytes_.data(), &wire, sizeof wire);
    }

    // Appends bytes. The caller ensures that they fit.
    void add(std::span<const std::uint8_t> bytes) noexcept {
        std::ranges::copy(bytes, bytes_.begin() + static_cast<std::ptrdiff_t>(size_));
        size_ += bytes.size();
    }

    [[nodiscard]] std::span<const std::uint8_t> bytes() const noexcept {
        return std::span(bytes_).first(size_);
    }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

private:
    std::array<std::uint8_t, longest> bytes_;
    std::size_t size_;
};

// --- whole replies ---

// Reply to a successful request without data: a simple reply, which is always valid, except for a read of
// length zero from a client with structured replies.
[[nodiscard]] ReplyHead success_reply(const Request& request, const Offer& offer) noexcept;
// Reply to a failed request; `error` is not none. The only reply, or the last chunk of a reply. `text` is for
// a person, cut at longest_error_text; simple replies omit it.
[[nodiscard]] ReplyHead error_reply(const Request& request, ErrorCode error, const Offer& offer,
                                    std::string_view text) noexcept;
// Error chunk of a read that returned data up to `offset` and failed there. Only with structured replies.
[[nodiscard]] ReplyHead error_reply_at(const Request& request, ErrorCode error, std::uint64_t offset,
                                       std::string_view text) noexcept;

// True if offset and length are multiples of the offer's minimum block size.
[[nodiscard]] bool is_aligned(const Request& request, const Offer& offer) noexcept;
// Explains the refusal by judge() with this error, for an error chunk and for the log.
[[nodiscard]] std::string_view reason_of_refusal(const Request& request, const Offer& offer,
                                                 ErrorCode error) noexcept;

// --- reads ---

// True if a read may be answered by several chunks, and by holes.
[[nodiscard]] bool may_fragment(const Request& request, const Offer& offer) noexcept;
// Head of the data of a read that is answered in a single piece and is not empty.
[[nodiscard]] ReplyHead data_reply(const Request& request, const Offer& offer) noexcept;
// Size of that head.
[[nodiscard]] std::size_t size_of_data_reply(const Offer& offer) noexcept;

// A part of a read, within the read and not empty. Only with structured replies.
struct Part {
    std::uint64_t offset = 0;
    std::uint32_t length = 0;
    bool last = false;  // ends the reply
};
// Head of the data of a part.
[[nodiscard]] ReplyHead data_chunk(const Request& request, const Part& part) noexcept;
// Chunk sent instead of a part's data if the data is all zeroes.
[[nodiscard]] ReplyHead hole_chunk(const Request& request, const Part& part) noexcept;

// --- block status ---

// "base:allocation" of an extent; extents are consecutive, starting at the request's offset.
struct StatusExtent {
    std::uint32_t length = 0;  // not 0
    std::uint32_t state = 0;   // state_hole, state_zero

    bool operator==(const StatusExtent&) const = default;
};

// Maximum number of extents in an answer, regardless of the request.
inline constexpr std::size_t most_extents = 512;
inline constexpr std::size_t longest_status_reply =
    sizeof(WireStatusChunk) + most_extents * sizeof(WireStatusExtent);

// Encodes the whole reply at the start of `out` and returns its bytes. `extents` has 1 to most_extents
// elements.
[[nodiscard]] std::span<const std::uint8_t> encode_status_reply(
    const Request& request, std::span<const StatusExtent> extents,
    std::span<std::uint8_t, longest_status_reply> out) noexcept;

}  // namespace holdfast::nbd
