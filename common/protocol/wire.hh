// Big-endian integers and the structs of the wire format. No other file handles byte order. A struct here has
// the size and byte order of the wire, and is copied in and out of buffers whole.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "common/protocol/constants.hh"

namespace holdfast::nbd {

// An unsigned integer stored big-endian, with alignment 1.
template <std::unsigned_integral T>
class BigEndian {
public:
    constexpr BigEndian() noexcept = default;
    constexpr BigEndian(T value) noexcept {  // NOLINT(google-explicit-constructor): assigned like an integer
        for (std::size_t i = 0; i < sizeof(T); ++i)
            bytes_[sizeof(T) - 1 - i] = static_cast<std::uint8_t>(value >> (8 * i));
    }
    constexpr operator T() const noexcept {  // NOLINT(google-explicit-constructor)
        T value = 0;
        for (const std::uint8_t byte : bytes_) value = static_cast<T>(static_cast<T>(value << 8) | byte);
        return value;
    }

private:
    std::array<std::uint8_t, sizeof(T)> bytes_{};
};

using be16 = BigEndian<std::uint16_t>;
using be32 = BigEndian<std::uint32_t>;
using be64 = BigEndian<std::uint64_t>;

struct WireGreeting {  // "Newstyle negotiation": the first bytes from the server
    be64 nbdmagic;
    be64 ihaveopt;
    be16 handshake_flags;
};
static_assert(sizeof(WireGreeting) == 18);

struct WireOption {  // head of every option from a client
    be64 ihaveopt;
    be32 option;
    be32 length;
};
static_assert(sizeof(WireOption) == 16);

struct WireOptionReply {
    be64 magic;
    be32 option;
    be32 type;
    be32 length;
};
static_assert(sizeof(WireOptionReply) == 20);

struct WireExportReply {  // answer to NBD_OPT_EXPORT_NAME, followed by 124 zeroes unless both sides set
                          // NO_ZEROES
    be64 size;
    be16 flags;
};
static_assert(sizeof(WireExportReply) == 10);
inline constexpr std::size_t export_reply_zeroes = 124;

struct WireInfoExport {
    be16 type;
    be64 size;
    be16 flags;
};
static_assert(sizeof(WireInfoExport) == 12);

struct WireInfoBlockSize {
    be16 type;
    be32 minimum;
    be32 preferred;
    be32 maximum;
};
static_assert(sizeof(WireInfoBlockSize) == 14);

struct WireRequest {
    be32 magic;
    be16 flags;
    be16 command;
    be64 cookie;
    be64 offset;
    be32 length;
};
static_assert(sizeof(WireRequest) == 28);

struct WireSimpleReply {
    be32 magic;
    be32 error;
    be64 cookie;
};
static_assert(sizeof(WireSimpleReply) == 16);

struct WireChunk {  // head of every chunk of a structured reply
    be32 magic;
    be16 flags;
    be16 type;
    be64 cookie;
    be32 length;
};
static_assert(sizeof(WireChunk) == 20);

struct WireDataChunk {  // followed by the data
    WireChunk head;
    be64 offset;
};
static_assert(sizeof(WireDataChunk) == 28);

struct WireHoleChunk {
    WireChunk head;
    be64 offset;
    be32 length;
};
static_assert(sizeof(WireHoleChunk) == 32);

struct WireErrorChunk {
    WireChunk head;
    be32 error;
    be16 message_length;
};
static_assert(sizeof(WireErrorChunk) == 26);

struct WireErrorOffsetChunk {  // without a message, which would precede the offset
    WireChunk head;
    be32 error;
    be16 message_length;
    be64 offset;
};
static_assert(sizeof(WireErrorOffsetChunk) == 34);

struct WireStatusChunk {  // followed by the extents
    WireChunk head;
    be32 context;
};
static_assert(sizeof(WireStatusChunk) == 24);

struct WireStatusExtent {
    be32 length;
    be32 state;
};
static_assert(sizeof(WireStatusExtent) == 8);

template <class T>
concept WireStruct = std::is_trivially_copyable_v<T> && alignof(T) == 1;

// Copies a wire struct from `bytes`; the caller ensures at least sizeof(T) bytes.
template <WireStruct T>
[[nodiscard]] T load(std::span<const std::uint8_t> bytes) noexcept {
    T value;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

// Returns the bytes of a wire struct, valid for the struct's lifetime.
template <WireStruct T>
[[nodiscard]] std::span<const std::uint8_t, sizeof(T)> bytes_of(const T& value) noexcept {
    return std::span<const std::uint8_t, sizeof(T)>(reinterpret_cast<const std::uint8_t*>(&value), sizeof(T));
}

}  // namespace holdfast::nbd
