// What is known of an attached device besides what the kernel knows, so that another process can take its
// daemon's place: by agreement (takeover), or when the daemon has died (adoption). And its spelling: lines of
// text, in a file of /run/holdfast and on the control socket. Pure: no I/O, no clock.
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

// Points of time on CLOCK_MONOTONIC, which all processes of one boot share.
using Monotonic = std::chrono::milliseconds;

// Facts that do not change as long as one daemon has the device.
struct DeviceRecord {
    std::uint32_t index = 0;
    std::string identifier;  // BACKEND_IDENTIFIER, see identifier_of()
    nbd::Uuid session{};     // a secret: it can fence the link
    std::uint32_t block_size = 512;
    std::uint16_t server_flags = 0;  // transmission flags, as the kernel was told
    Policy policy;
    bool carries_root = false;    // attached in the initramfs, for the root file system
    std::vector<Target> targets;  // in order of preference
    Monotonic attached_at{0};
    std::optional<LeaseRecord> lease;  // that the daemon renews
    // This attachment, for servers that fence older ones. Empty: read-only, or the machine has no name.
    std::optional<nbd::HostRequest> host;
};

inline constexpr std::uint32_t no_target = 0xffffffff;

// What changes with every outage. Of fixed size, so that it may change after the seal.
struct LiveState {
    std::uint64_t size = 0;
    std::uint32_t target = 0;                 // in use, or tried last
    std::uint32_t linked_target = no_target;  // the one of the last link
    std::uint32_t generation = 0;             // the last one that a server was told
    bool session_known = false;               // the server in use knows the session option
    bool host_fenced = false;                 // it fences older attachments of this machine, too
    bool link_up = false;
    bool writes_stable =
        false;  // what the server acknowledged survives a power cut of its machine, by its word
    std::optional<nbd::Uuid> boot_identity;
    IdentityText export_identity;  // empty: no server has told one
    std::uint64_t reconnects = 0;
    std::uint64_t cache_lost =
        0;  // how often a server's machine restarted while writes may have been unflushed
    std::uint64_t request_limit =
        0;  // bytes; the server in use takes no larger reads and writes. 0: not known
    std::uint64_t largest_request = 0;  // bytes; what the kernel has on its way may be so large
    std::uint64_t sectors_before = 0;   // queue/max_sectors_kb before it was lowered; 0: it was not
    Monotonic link_changed_at{0};       // when the link came up, or went down
    // Before then no other server machine may be used: the one before may still apply what it holds.
    Monotonic elsewhere_after{0};
    // Sockets of which the kernel uses one: the link that it was given last, and each earlier one that the
    // kernel was not seen to release. Empty: not known.
    SocketNames link_socket;
    std::chrono::milliseconds last_outage{0};
    std::chrono::milliseconds longest_outage{0};
    std::chrono::milliseconds longest_stall{0};
    LineText last_error;
    Monotonic last_error_at{0};  // 0: not known
    LeaseState lease;            // has a meaning where the record names one

    bool operator==(const LiveState&) const = default;
};

// Room for the lines of any LiveState.
using LiveLines = FixedText<4096>;
void add_lines(LiveLines& lines, const LiveState& live);
// Takes one line in; false when it is none of these.
bool take_line(LiveState& live, std::string_view line) noexcept;
// Every line of a text.
void take_lines(LiveState& live, std::string_view lines) noexcept;

// Allocates. Ends with a newline.
[[nodiscard]] std::string to_lines(const DeviceRecord& record);

struct KnownDevice {
    DeviceRecord record;
    LiveState live;
};
// The lines of both, in any order; unknown ones are skipped. Every server of a record is read, also if an
// older version wrote more of them than attach takes today. The error says what is missing or wrong.
[[nodiscard]] std::expected<KnownDevice, std::string> read_known_device(std::string_view lines);

// The identifier of a device, which every local user can read in /sys/block/nbdN/backend: a digest, because
// whoever knows the session itself can fence its connections. Reveals nothing of the session.
[[nodiscard]] std::string identifier_of(const nbd::Uuid& session);
// Whether Holdfast has attached the device with this identifier. Older versions wrote the session's UUID into
// it, and RECONFIGURE takes no other identifier than the device has: it stays until the device is detached.
[[nodiscard]] bool is_identifier(std::string_view identifier) noexcept;
// The session in an identifier of an older version; empty for every other.
[[nodiscard]] std::optional<nbd::Uuid> session_in(std::string_view identifier) noexcept;
// For reports: as much of an identifier of ours as tells devices apart. Other identifiers are returned whole.
[[nodiscard]] std::string_view shortened(std::string_view identifier) noexcept;

}  // namespace holdfast::client
