// How a server's replies begin: simple replies, or the chunks of structured ones where the client asked for
// them ("Structured reply chunk message"). What follows such a beginning is the data of a read, and nothing
// else.
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

// What an error chunk says for a person, in bytes at most.
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

    // What follows. There is room for it.
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

// To a request that was carried out and has no data to send: a simple reply, which is valid always, but to a
// read of nothing from a client with structured replies.
[[nodiscard]] ReplyHead success_reply(const Request& request, const Offer& offer) noexcept;
// To a request that was not, with `error` not none. The only reply, or the last chunk of one. `text`: for a
// person, cut at longest_error_text; simple replies have none.
[[nodiscard]] ReplyHead error_reply(const Request& request, ErrorCode error, const Offer& offer,
                                    std::string_view text) noexcept;
// To a read that was answered with data up to `offset` and fails there. Only with structured replies.
[[nodiscard]] ReplyHead error_reply_at(const Request& request, ErrorCode error, std::uint64_t offset,
                                       std::string_view text) noexcept;

// Whether offset and length are whole blocks of the offer's minimum.
[[nodiscard]] bool is_aligned(const Request& request, const Offer& offer) noexcept;
// Why judge() refused it with this error, for an error chunk and for the log.
[[nodiscard]] std::string_view reason_of_refusal(const Request& request, const Offer& offer,
                                                 ErrorCode error) noexcept;

// --- reads ---

// Whether a read may be answered by more than one chunk, and by holes.
[[nodiscard]] bool may_fragment(const Request& request, const Offer& offer) noexcept;
// Before all of the data of a read that is answered in one piece, which is not empty.
[[nodiscard]] ReplyHead data_reply(const Request& request, const Offer& offer) noexcept;
// How long that will be.
[[nodiscard]] std::size_t size_of_data_reply(const Offer& offer) noexcept;

// A part of a read, within it and not empty. Only with structured replies.
struct Part {
    std::uint64_t offset = 0;
    std::uint32_t length = 0;
    bool last = false;  // its end is the end of the reply
};
// Before the data of the part.
[[nodiscard]] ReplyHead data_chunk(const Request& request, const Part& part) noexcept;
// Instead of them: they are all zeroes.
[[nodiscard]] ReplyHead hole_chunk(const Request& request, const Part& part) noexcept;

// --- block status ---

// "base:allocation" of an extent; they follow one another from the offset of the request on.
struct StatusExtent {
    std::uint32_t length = 0;  // not 0
    std::uint32_t state = 0;   // state_hole, state_zero

    bool operator==(const StatusExtent&) const = default;
};

// What an answer holds at most, whatever the client asks.
inline constexpr std::size_t most_extents = 512;
inline constexpr std::size_t longest_status_reply =
    sizeof(WireStatusChunk) + most_extents * sizeof(WireStatusExtent);

// The whole reply, in the first bytes of `out`; returns them. `extents` has 1 to most_extents.
[[nodiscard]] std::span<const std::uint8_t> encode_status_reply(
    const Request& request, std::span<const StatusExtent> extents,
    std::span<std::uint8_t, longest_status_reply> out) noexcept;

}  // namespace holdfast::nbd
