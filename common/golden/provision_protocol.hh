// Protocol between holdfast-provision and those that ask it: the opener, and the administrator's commands.
// Pure. A request and its answer are one message each of a SOCK_SEQPACKET socket. A request names an export
// and a host, never a volume or a path: these follow from the configuration, which holdfast-provision reads
// itself. Both sides run on the same machine, so integers are in native format; no length is trusted.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

inline constexpr std::string_view default_provision_socket = "/run/holdfast-provision/provision.sock";

enum class ProvisionCall : std::uint8_t {
    make = 1,  // the host's volume, unless it exists
    reset,     // removes the volume, and makes it again
    remove,    // removes the volume
    promote,   // makes the volume's state the golden volume of the export
    snapshot,  // takes a snapshot of the export's volume
    restore,   // gives the volume the state of a snapshot
    remove_snapshot,
    end_session,     // removes the volume of a session that is over
    sweep_sessions,  // removes the volumes of sessions that were lost long ago
};
// Whether the call is about a snapshot, and may be about the volume of all clients.
[[nodiscard]] constexpr bool is_of_snapshots(ProvisionCall call) noexcept {
    return call >= ProvisionCall::snapshot && call <= ProvisionCall::remove_snapshot;
}

struct ProvisionRequest {
    ProvisionCall call{};
    bool only_say = false;  // answers what would be done, and changes nothing
    std::string name;       // export; empty only for sweep_sessions, which is about all exports
    std::string host;       // numeric address, or "unix"; for snapshots, empty if all clients have one volume
    // Valid only for snapshots.
    std::string snapshot{};
    bool automatic = false;        // removes older automatic snapshots
    std::uint32_t keep_count = 0;  // automatic snapshots to keep; 0: any number
    std::uint32_t keep_days = 0;   // days to keep them; 0: any time
    // Word of a session (HostKind::session). Valid only for make and end_session; empty: the export has no
    // volumes of sessions.
    std::string session{};

    bool operator==(const ProvisionRequest&) const = default;
};

struct ProvisionAnswer {
    bool done = false;
    std::string text;  // the deed, or the reason of the refusal
    bool in_use{};     // refused because a volume is open; the same request may succeed later

    bool operator==(const ProvisionAnswer&) const = default;
};

inline constexpr std::size_t longest_provision_request = 20 + 4096 + 64 + 64;
inline constexpr std::size_t longest_provision_answer = 4096;

// Truncates the texts to the limits.
[[nodiscard]] std::vector<std::uint8_t> pack(const ProvisionRequest& request);
[[nodiscard]] std::vector<std::uint8_t> pack(const ProvisionAnswer& answer);
// Return nullopt for bytes that pack() does not make.
[[nodiscard]] std::optional<ProvisionRequest> unpack_provision_request(std::span<const std::uint8_t> bytes);
[[nodiscard]] std::optional<ProvisionAnswer> unpack_provision_answer(std::span<const std::uint8_t> bytes);

}  // namespace holdfast
