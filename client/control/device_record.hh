// Record of an attached device: the facts that the kernel does not keep, so that another process can replace
// the device's daemon, by agreement (takeover) or after the daemon's death (adoption). Format: lines of text,
// in a file of /run/holdfast and on the control socket. Pure: no I/O, no clock.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/config/policy.hh"
#include "client/lease/lease.hh"
#include "client/link/endpoint.hh"
#include "common/linux/socket_name.hh"
#include "common/protocol/session_option.hh"

namespace holdfast::client {

// Time on CLOCK_MONOTONIC, shared by all processes of a boot.
using Monotonic = std::chrono::milliseconds;

// Facts that are constant while a daemon keeps the device.
struct DeviceRecord {
    std::uint32_t index = 0;
    std::string identifier;  // BACKEND_IDENTIFIER, see identifier_of()
    nbd::Uuid session{};     // a secret: holders can fence the link
    std::uint32_t block_size = 512;
    std::uint16_t server_flags = 0;  // transmission flags, as passed to the kernel
    Policy policy;
    bool carries_root = false;    // attached in the initramfs, as a disk of the root file system
    bool may_be_lost = false;     // the root file system works without the device (nofail)
    std::vector<Target> targets;  // in order of preference
    Monotonic attached_at{0};
    std::optional<LeaseRecord> lease;  // lease that the daemon renews
    // Identifies this attachment to servers that fence older attachments. Empty: read-only, or the machine
    // has no name.
    std::optional<nbd::HostRequest> host;
};

inline constexpr std::uint32_t no_target = 0xffffffff;

// State that changes with every outage. Of fixed size, so that it may change after the seal.
struct LiveState {
    std::uint64_t size = 0;
    std::uint32_t target = 0;                 // in use, or last tried
    std::uint32_t linked_target = no_target;  // target of the last link
    std::uint32_t generation = 0;             // last generation sent to a server
    bool session_known = false;               // the server in use supports the session option
    bool host_fenced = false;                 // the server also fences older attachments of this machine
    bool link_up = false;
    bool writes_stable =
        false;  // acknowledged writes survive a power cut of the server's machine, according to the server
    std::optional<nbd::Uuid> boot_identity;
    IdentityText export_identity;  // empty: no server has sent an identity
    std::uint64_t reconnects = 0;
    std::uint64_t cache_lost =
        0;  // number of times that a server's machine restarted while writes may have been unflushed
    std::uint64_t request_limit = 0;    // bytes; maximum read or write of the server in use. 0: unknown
    std::uint64_t largest_request = 0;  // bytes; maximum size of the kernel's requests in flight
    std::uint64_t sectors_before = 0;   // queue/max_sectors_kb before it was lowered; 0: not lowered
    Monotonic link_changed_at{0};       // time when the link last came up or went down
    // No other server machine may be used before this time: the previous server may still apply writes that
    // it holds.
    Monotonic elsewhere_after{0};
    // Sockets that the kernel may use: the link passed to the kernel last, and each earlier link not seen to
    // be released by the kernel. Empty: unknown.
    SocketNames link_socket;
    std::chrono::milliseconds last_outage{0};
    std::chrono::milliseconds longest_outage{0};
    std::chrono::milliseconds longest_stall{0};
    LineText last_error;
    Monotonic last_error_at{0};  // 0: unknown
    LeaseState lease;            // valid only if the record has a lease

    bool operator==(const LiveState&) const = default;
};

// Large enough for the lines of any LiveState.
using LiveLines = FixedText<4096>;
void add_lines(LiveLines& lines, const LiveState& live);
// Parses a line into `live`; false if the line is not one of LiveState.
bool take_line(LiveState& live, std::string_view line) noexcept;
// Parses every line of a text.
void take_lines(LiveState& live, std::string_view lines) noexcept;

// Returns the record's lines, ending with a newline. Allocates.
[[nodiscard]] std::string to_lines(const DeviceRecord& record);

struct KnownDevice {
    DeviceRecord record;
    LiveState live;
};
// Parses the lines of both, in any order; unknown lines are skipped. Every server of a record is read, even
// if an older version wrote more servers than attach accepts today. The error names the missing or invalid
// part.
[[nodiscard]] std::expected<KnownDevice, std::string> read_known_device(std::string_view lines);

// Returns the identifier of a device, which every local user can read in /sys/block/nbdN/backend: a digest,
// because knowledge of the session allows fencing its connections. The digest does not reveal the session.
[[nodiscard]] std::string identifier_of(const nbd::Uuid& session);
// True if Holdfast attached the device with this identifier. Also accepts the format of older versions, which
// contains the session's UUID: RECONFIGURE requires the device's own identifier, so an old identifier stays
// until the device is detached.
[[nodiscard]] bool is_identifier(std::string_view identifier) noexcept;
// Returns the session in an identifier of an older version; empty for any other identifier.
[[nodiscard]] std::optional<nbd::Uuid> session_in(std::string_view identifier) noexcept;
// Shortens an identifier of Holdfast for reports to a part that distinguishes devices. Other identifiers are
// returned whole.
[[nodiscard]] std::string_view shortened(std::string_view identifier) noexcept;

}  // namespace holdfast::client
