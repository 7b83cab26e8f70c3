// Holdfast's private options: they identify the client (session, slot, generation; host, boot, attachment)
// and the server side (boot identity, export identity). A server uses them to fence a client's older
// connections before the newer connection starts. A fenced connection is closed, its unread requests are
// discarded, and its requests already submitted to the disk are awaited before the newer claim gets its ACK.
//
// HF 1, `session` (0x48460001): a slot in a session. Sent once, after STARTTLS and before GO. The answer is a
// reply of type 0x48460001, then a reply of type 0x48460003 (only to a client that has sent HF 3), then ACK.
// HF 3, `host` (0x48460003): the machine and device behind the session. Sent once, before HF 1, for writable
// use only. The answer is ACK alone; the outcome follows in the answer to HF 1. Data: 16 bytes host identity,
// 16 bytes boot ID of the client's machine, u64 attachment number, u32 flags (none defined yet, send 0). The
// attachment number increases with each attachment within a boot, and is kept over reconnects and takeovers.
// Answer in HF 1: u32 flags. Later versions may append fields to both; a decoder ignores trailing bytes.
//
// Guaranteed after the ACK of HF 1, as long as the server machine is not replaced:
// - Nothing sent by an older connection of the session (same slot and export, lower generation) is applied to
//   the disk any more. A claim whose generation is not higher is refused (ERR_POLICY).
// - With `host_fenced` in the answer: the same for every connection to that disk, under any export name, of
//   an older session of the same host identity: same boot and a lower attachment number, or another boot
//   whose connection is closed or silent. Such a session is superseded permanently: a claim of the same boot
//   with a lower number, or of a superseded boot, is refused (ERR_POLICY), even if a server that hung
//   processes the old handshake late.
// - Two live machines with the same host identity (cloned machine-id and no DMI UUID) do not fence each other
//   in turns: the second claim is refused for as long as the first machine's connection is proven alive.
//
// Not guaranteed:
// - Anything across two server machines, even with a replicated disk: a claim at the first fences nothing at
//   the second. The boot identity in the answer distinguishes server machines.
// - Anything about connections that claim no session, read-only exports (their readers neither fence nor are
//   fenced), and, without HF 3, earlier attachments.
// - Earlier attachments of the same machine under another device number or, across a reset, by a machine
//   whose identity has changed: the host identity is derived from machine and device.
// - Memory across a restart of the server process: the old connections end with the process, but a superseded
//   session is recognized only once its successor has claimed again. The most recently used sessions and
//   hosts are remembered, 1024 per export.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "common/protocol/constants.hh"
#include "common/protocol/uuid.hh"

namespace holdfast::nbd {

struct SessionRequest {
    Uuid session{};
    std::uint32_t slot = 0;
    std::uint32_t generation = 0;
    std::string_view export_name;  // UTF-8, may be empty (the default export); points into the decoded bytes
};

struct SessionAnswer {
    Uuid boot_identity{};
    std::string_view export_identity;  // UTF-8; points into the decoded bytes
};

// Machine and device of a client; sent for writable use only.
struct HostRequest {
    Uuid host{};  // identity of machine and device: constant across reboots, unique to the machine
    Uuid boot{};  // boot ID of the client's machine
    std::uint64_t attachment = 0;  // increases within one boot
    std::uint32_t flags = 0;       // none is defined yet

    bool operator==(const HostRequest&) const = default;
};

// Flags of the answer.
inline constexpr std::uint32_t host_fenced = 1 << 0;  // older attachments of the host are fenced
inline constexpr std::uint32_t writes_stable = 1
                                               << 1;  // acknowledged writes survive a power cut of the server

struct HostAnswer {
    std::uint32_t flags = 0;

    bool operator==(const HostAnswer&) const = default;
};

// Sizes of the data, without the heads of option and reply.
inline constexpr std::size_t longest_session_request = sizeof(Uuid) + 8 + longest_string;
inline constexpr std::size_t longest_session_answer = sizeof(Uuid) + longest_string;
// Sizes written by this version; a later version may write more, up to longest_host_answer.
inline constexpr std::size_t host_request_size = 2 * sizeof(Uuid) + 12;
inline constexpr std::size_t host_answer_size = 4;
inline constexpr std::size_t longest_host_answer = 256;

// Encode and decode the data of options and replies, without their heads. Encoding writes into `out` and
// returns the number of bytes, or nullopt if the data does not fit, or a text is longer than longest_string
// or contains a NUL. Decoding returns nullopt for malformed data: too short, too long, a NUL in the text.
// Host request and answer may be longer than this version knows.
[[nodiscard]] std::optional<std::size_t> encode(const SessionRequest& request,
                                                std::span<std::uint8_t> out) noexcept;
[[nodiscard]] std::optional<std::size_t> encode(const SessionAnswer& answer,
                                                std::span<std::uint8_t> out) noexcept;
[[nodiscard]] std::optional<std::size_t> encode(const HostRequest& request,
                                                std::span<std::uint8_t> out) noexcept;
[[nodiscard]] std::optional<std::size_t> encode(const HostAnswer& answer,
                                                std::span<std::uint8_t> out) noexcept;
[[nodiscard]] std::optional<SessionRequest> decode_session_request(
    std::span<const std::uint8_t> data) noexcept;
[[nodiscard]] std::optional<SessionAnswer> decode_session_answer(std::span<const std::uint8_t> data) noexcept;
[[nodiscard]] std::optional<HostRequest> decode_host_request(std::span<const std::uint8_t> data) noexcept;
[[nodiscard]] std::optional<HostAnswer> decode_host_answer(std::span<const std::uint8_t> data) noexcept;

}  // namespace holdfast::nbd
