// Numbers of the NBD protocol, with the names of its specification ("The NBD protocol", doc/proto.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace holdfast::nbd {

// "Newstyle negotiation".
inline constexpr std::uint64_t nbdmagic = 0x4e42444d41474943;  // "NBDMAGIC"
inline constexpr std::uint64_t ihaveopt = 0x49484156454f5054;  // "IHAVEOPT"
inline constexpr std::uint64_t option_reply_magic = 0x0003e889045565a9;
inline constexpr std::uint64_t oldstyle_magic = 0x00420281861253;

inline constexpr std::uint16_t flag_fixed_newstyle = 1 << 0;  // handshake flags, from the server
inline constexpr std::uint16_t flag_no_zeroes = 1 << 1;
inline constexpr std::uint32_t flag_c_fixed_newstyle = 1 << 0;  // client flags
inline constexpr std::uint32_t flag_c_no_zeroes = 1 << 1;

// "Option types".
enum class Option : std::uint32_t {
    export_name = 1,
    abort = 2,
    list = 3,
    starttls = 5,
    info = 6,
    go = 7,
    structured_reply = 8,
    list_meta_context = 9,
    set_meta_context = 10,
    session = 0x48460001,     // private to Holdfast, see session_option.hh
    boot_files = 0x48460002,  // also private, see boot_file_option.hh
    host = 0x48460003,        // also private, see session_option.hh
};

// "Option reply types".
enum class OptionReply : std::uint32_t {
    ack = 1,
    server = 2,
    info = 3,
    meta_context = 4,
    session = 0x48460001,  // private to Holdfast
    boot_files = 0x48460002,
    host = 0x48460003,
    err_unsup = 0x80000001,
    err_policy = 0x80000002,
    err_invalid = 0x80000003,
    err_platform = 0x80000004,
    err_tls_reqd = 0x80000005,
    err_unknown = 0x80000006,
    err_shutdown = 0x80000007,
    err_block_size_reqd = 0x80000008,
    err_too_big = 0x80000009,
    err_no_writer = 0xc8460002,  // private to Holdfast (boot_file_option.hh)
};
inline constexpr std::uint32_t option_reply_error_bit = 0x80000000;

// NBD_INFO types, in GO and INFO.
enum class Info : std::uint16_t { export_ = 0, name = 1, description = 2, block_size = 3 };

// "Transmission flags".
inline constexpr std::uint16_t flag_has_flags = 1 << 0;
inline constexpr std::uint16_t flag_read_only = 1 << 1;
inline constexpr std::uint16_t flag_send_flush = 1 << 2;
inline constexpr std::uint16_t flag_send_fua = 1 << 3;
inline constexpr std::uint16_t flag_rotational = 1 << 4;
inline constexpr std::uint16_t flag_send_trim = 1 << 5;
inline constexpr std::uint16_t flag_send_write_zeroes = 1 << 6;
inline constexpr std::uint16_t flag_send_df = 1 << 7;
inline constexpr std::uint16_t flag_can_multi_conn = 1 << 8;
inline constexpr std::uint16_t flag_send_resize = 1 << 9;
inline constexpr std::uint16_t flag_send_cache = 1 << 10;
inline constexpr std::uint16_t flag_send_fast_zero = 1 << 11;

// "Transmission phase".
inline constexpr std::uint32_t request_magic = 0x25609513;
inline constexpr std::uint32_t simple_reply_magic = 0x67446698;
inline constexpr std::uint32_t structured_reply_magic = 0x668e33ef;

enum class Command : std::uint16_t {
    read = 0,
    write = 1,
    disconnect = 2,
    flush = 3,
    trim = 4,
    cache = 5,
    write_zeroes = 6,
    block_status = 7,
};

inline constexpr std::uint16_t cmd_flag_fua = 1 << 0;
inline constexpr std::uint16_t cmd_flag_no_hole = 1 << 1;
inline constexpr std::uint16_t cmd_flag_df = 1 << 2;
inline constexpr std::uint16_t cmd_flag_req_one = 1 << 3;
inline constexpr std::uint16_t cmd_flag_fast_zero = 1 << 4;

// "Structured reply flags" and "Structured reply types".
inline constexpr std::uint16_t reply_flag_done = 1 << 0;
enum class Chunk : std::uint16_t {
    none = 0,
    offset_data = 1,
    offset_hole = 2,
    block_status = 5,
    error = 0x8001,
    error_offset = 0x8002,
};

// "The base: metadata namespace": the only supported metadata context, and the state bits of an extent.
inline constexpr std::string_view base_allocation = "base:allocation";
inline constexpr std::uint32_t base_allocation_id = 1;  // chosen by the server
inline constexpr std::uint32_t state_hole = 1 << 0;
inline constexpr std::uint32_t state_zero = 1 << 1;

// "Error values" in replies. Defined by the protocol, not equal to this system's errno.
enum class ErrorCode : std::uint32_t {
    none = 0,
    eperm = 1,
    eio = 5,
    enomem = 12,
    einval = 22,
    enospc = 28,
    eoverflow = 75,
    enotsup = 95,
    eshutdown = 108,
};

// "String values": maximum length of a name or text.
inline constexpr std::size_t longest_string = 4096;
// Maximum length of a list of exports.
inline constexpr std::uint32_t most_listed_exports = 65536;
// "Size constraints": the payload that every server accepts, and the kernel's maximum.
inline constexpr std::uint32_t largest_payload = 32U << 20;
// Unused: a read with DF may be as long as any other. (The specification asks for at least 65536.)
inline constexpr std::uint32_t longest_unfragmented = 256U << 10;
inline constexpr std::uint16_t default_port = 10809;

// "Block size constraints". Defaults for a server that sends none: 1, 4096, 32 MiB.
struct BlockSizes {
    std::uint32_t minimum = 1;
    std::uint32_t preferred = 4096;
    std::uint32_t maximum = largest_payload;

    bool operator==(const BlockSizes&) const = default;
};

}  // namespace holdfast::nbd
