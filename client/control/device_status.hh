// Status of a device, in three formats: lines between daemon and command, text for a person, JSON. Pure: no
// I/O, no clock.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/text/fixed_text.hh"

namespace holdfast::client {

enum class DeviceState : std::uint8_t {
    detached,      // not connected in the kernel
    attached,      // the link is up
    reconnecting,  // the link is down; the daemon is reconnecting
    unattended,    // connected in the kernel, but without a Holdfast daemon
    unknown,       // connected in the kernel, but its daemon could not be asked, or does not answer
};

// Which members are valid depends on `state`: for unattended and unknown only size and block size, for
// detached none.
struct DeviceStatus {
    std::uint32_t index = 0;
    DeviceState state = DeviceState::detached;
    // Read from the public file: only the numbers and texts in that file are valid. Not in the lines between
    // daemon and command.
    bool partial = false;
    LineText server;           // the URI of the server in use, or last in use
    LineText peer;             // address of that server
    LineText identifier;       // BACKEND_IDENTIFIER, shortened if it holds a session
    LineText export_identity;  // the disk's identity according to the server; empty: not sent
    LineText session;          // "fenced": old writes of this machine are blocked; "reconnects": only this
                               // attachment's; "unknown": neither
    LineText boot_identity;    // boot identity of the server's machine, in hex; empty: not sent
    LineText network;          // measures that protect the root disk's network; empty: none
    LineText domain;           // the daemon's SELinux context; empty: no SELinux, or no policy yet
    LineText profile;          // the daemon's AppArmor profile; empty: unconfined, or no AppArmor
    LineText last_error;       // empty: no error
    LineText interface;        // interface whose DHCP lease the daemon renews; empty: none
    LineText address;          // the leased address
    LineText lease_problem;    // reason for a failed renewal; empty: renewed, or not due
    LineText next_kernel;      // version that the server has published for the next boot; empty: none, or not
                               // asked. Set by the command only, as is the next:
    LineText previous_kernel;  // fallback
    bool read_only = false;
    std::uint64_t size = 0;
    std::uint64_t block_size = 0;
    std::uint64_t flags = 0;  // transmission flags from the server
    std::uint64_t connections = 0;
    std::uint64_t servers = 0;  // number of addresses that the daemon tries in turn
    std::uint64_t daemon_pid = 0;
    std::uint64_t attached_seconds = 0;  // since the device was attached
    std::uint64_t link_seconds = 0;      // since the link last came up or went down
    std::uint64_t adopted = 0;           // 1: the kernel was seen to use the link
    std::uint64_t generation = 0;        // generation of the session
    std::uint64_t reconnects = 0;
    std::uint64_t last_outage_ms = 0;  // without the current outage
    std::uint64_t longest_outage_ms = 0;
    std::uint64_t longest_stall_ms =
        0;  // longest time that requests waited with none answered; accurate to a second
    std::uint64_t last_error_seconds = 0;  // age; 0: unknown
    std::uint64_t in_flight = 0;           // requests sent and not answered
    std::uint64_t in_flight_age_ms = 0;    // time since the last answer
    std::uint64_t cache_lost = 0;  // number of times that a server's machine restarted with unflushed writes
    std::uint64_t lease_seconds = 0;  // as granted; 4294967295: unlimited
    std::uint64_t lease_left_seconds = 0;
    std::uint64_t lease_renewals = 0;
    std::uint64_t overlay_size = 0;  // bytes in memory for changes of /, which is an overlay; 0: none.
    std::uint64_t overlay_used = 0;  // Set by the command only.
    std::uint64_t locked_kib = 0;    // VmLck and VmRSS of the daemon
    std::uint64_t resident_kib = 0;

    bool operator==(const DeviceStatus&) const = default;
};

[[nodiscard]] const char* word_of(DeviceState state) noexcept;
// Returns the word for DeviceStatus::session.
[[nodiscard]] const char* fencing_word(bool session_known, bool host_fenced) noexcept;

// "key value" lines, then an empty line. A reader ignores unknown keys. Does not allocate: the daemon writes
// them after its seal.
using StatusLines = FixedText<8192>;
[[nodiscard]] StatusLines to_lines(const DeviceStatus& status);
[[nodiscard]] DeviceStatus from_lines(std::string_view lines);

// Lines of the public file, /run/holdfast/nbdN.status, for users who may not ask the daemon. Contains no
// secret. The first line is the daemon's heartbeat, a time of CLOCK_MONOTONIC in milliseconds, of constant
// length.
using PublicLines = FixedText<1024>;
using HeartbeatLine = FixedText<32>;
[[nodiscard]] HeartbeatLine heartbeat_line(std::chrono::milliseconds now);
[[nodiscard]] PublicLines public_lines(const DeviceStatus& status, std::chrono::milliseconds now,
                                       std::chrono::milliseconds link_changed_at);
// Sets the state and the other known members from the lines of a public file. `alive`: the file's writer is
// alive.
void take_public_lines(DeviceStatus& status, std::string_view lines, bool alive,
                       std::chrono::milliseconds now);

// Text for a person; ends with a newline.
[[nodiscard]] std::string to_text(const DeviceStatus& status);
// A JSON object, without a newline.
[[nodiscard]] std::string to_json(const DeviceStatus& status);

// Returns "HAS_FLAGS SEND_FLUSH ...", the protocol's names without their prefix.
[[nodiscard]] std::string flag_words(std::uint64_t flags);
// Returns "8.0 GiB", "512 B".
[[nodiscard]] std::string size_words(std::uint64_t bytes);
// Returns "350 ms", "12.3 s", and longer times like duration_words().
[[nodiscard]] std::string short_duration_words(std::uint64_t milliseconds);
// Returns "3 d 4 h", "5 min 2 s".
[[nodiscard]] std::string duration_words(std::uint64_t seconds);

}  // namespace holdfast::client
