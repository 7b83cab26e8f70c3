// Holdfast's private options: who is connecting (session, slot, generation; host, boot, attachment), and to
// what (boot identity, export identity). With them a server fences a client's older connections before it
// lets the newer one begin. A fenced connection is cut off, its unread requests are thrown away, and its
// requests that are with the disk are awaited before the newer claim gets its ACK.
//
// HF 1, `session` (0x48460001): a place in a session. Sent once, after STARTTLS and before GO. The answer is
// a reply of type 0x48460001 and then, only to a client that has sent HF 3, a reply of type 0x48460003, then
// ACK. HF 3, `host` (0x48460003): the machine and device behind the session. Sent once, before HF 1, for
// writable use only. The answer is ACK alone: the outcome follows with the answer to HF 1. Data: 16 bytes
// host identity, 16 bytes boot ID of the client's machine, u64 attachment number, u32 flags (none is defined
// yet, send 0). The attachment number increases from attachment to attachment within one boot, and stays over
// reconnects and takeovers. Answer in HF 1: u32 flags. Both may grow at their end; a decoder ignores bytes
// that follow.
//
// Guaranteed after the ACK of HF 1, as long as the server machine has not been exchanged:
// - Nothing that an older connection of the session (same slot and export, lower generation) has sent is
//   applied to the disk any more. A claim with a generation that is not higher is refused (ERR_POLICY).
// - With `host_fenced` in the answer: the same for every connection to that disk, under any export's name, of
//   another session of the same host identity that is older: same boot and a lower attachment number, or
//   another boot whose connection is gone or silent. Such a session is superseded and cannot come back: a
//   claim of the same boot with a lower number, or of a boot that was superseded, is refused (ERR_POLICY),
//   also if a server that hung takes the old handshake up late.
// - Two live machines with one host identity (cloned machine-id and no DMI UUID) do not fence each other in
//   turns: the second claim is refused for as long as the first machine's connection is proven alive.
// Not guaranteed:
// - Anything across two server machines, also with a replicated disk: a claim at one fences nothing at the
//   other. The boot identity in the answer tells server machines apart.
// - Anything about connections that claim no session, read-only exports (their readers neither fence nor are
//   fenced), and, without HF 3, earlier attachments.
// - Earlier attachments of the same machine under another device number or, over a reset, by a machine whose
//   identity has changed: the host identity is made of machine and device.
// - Memory over a restart of the server process: the old connections end with the process, but a superseded
//   session is then known as such only once its successor has claimed again. The sessions and hosts used last
//   are remembered, 1024 an export.
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

// Machine and device of a client; valid for writable use only.
struct HostRequest {
    Uuid host{};  // identity of machine and device: the same over reboots, different from machine to machine
    Uuid boot{};  // of the client's machine
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

// Of the data, without the heads of option and reply.
inline constexpr std::size_t longest_session_request = sizeof(Uuid) + 8 + longest_string;
inline constexpr std::size_t longest_session_answer = sizeof(Uuid) + longest_string;
// What this version writes; a later one may write more, up to longest_host_answer.
inline constexpr std::size_t host_request_size = 2 * sizeof(Uuid) + 12;
inline constexpr std::size_t host_answer_size = 4;
inline constexpr std::size_t longest_host_answer = 256;

// The data of the options and of the replies, without their heads. Encoding writes into `out` and returns the
// number of bytes, or nullopt where they do not fit, or a text is over longest_string or has a NUL. Decoding
// gives nullopt for malformed data: too short, too long, a NUL in the text. Host request and answer may be
// longer than known here.
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
