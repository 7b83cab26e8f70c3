// What is known of a device, and its three spellings: lines between daemon and command, text for a person,
// JSON. Pure: no I/O, no clock.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/text/fixed_text.hh"

namespace holdfast::client {

enum class DeviceState : std::uint8_t {
    detached,      // the kernel has it not connected
    attached,      // the link is up
    reconnecting,  // the link is down; the daemon is at work on it
    unattended,    // the kernel has it connected, and no daemon of ours watches it
    unknown,       // the kernel has it connected, and its daemon could not be asked, or does not answer
};

// `state` gives the rest its meaning: unattended and unknown know size and block size only, detached nothing.
struct DeviceStatus {
    std::uint32_t index = 0;
    DeviceState state = DeviceState::detached;
    // Read from the public file: of the numbers and texts only those of that file have a meaning. Not in the
    // lines between daemon and command.
    bool partial = false;
    LineText server;           // the URI of the server in use, or last in use
    LineText peer;             // its address
    LineText identifier;       // BACKEND_IDENTIFIER, shortened where it holds a session
    LineText export_identity;  // what the server says that the disk is; empty: it does not say
    LineText session;  // "fenced": the server keeps all old writes of this machine out; "reconnects": those
                       // of this attachment only; "unknown": it cannot
    LineText boot_identity;  // of the server's machine, in hex; empty: it does not say
    LineText network;        // what is done to keep the root disk's; empty: nothing
    LineText domain;         // the daemon's SELinux context; empty: there is no SELinux, or no policy yet
    LineText last_error;     // empty when there was none
    LineText interface;      // whose DHCP lease the daemon renews; empty: it renews none
    LineText address;        // of the lease
    LineText lease_problem;  // why it was not renewed; empty: it was, or was not due
    bool read_only = false;
    std::uint64_t size = 0;
    std::uint64_t block_size = 0;
    std::uint64_t flags = 0;  // transmission flags as the server gave them
    std::uint64_t connections = 0;
    std::uint64_t servers = 0;  // how many addresses the daemon tries in turn
    std::uint64_t daemon_pid = 0;
    std::uint64_t attached_seconds = 0;  // since the device was attached
    std::uint64_t link_seconds = 0;      // since the link came up, or went down
    std::uint64_t adopted = 0;           // 1: the kernel was seen to use the link
    std::uint64_t generation = 0;        // of the session
    std::uint64_t reconnects = 0;
    std::uint64_t last_outage_ms = 0;  // the one that goes on is not counted
    std::uint64_t longest_outage_ms = 0;
    std::uint64_t longest_stall_ms = 0;    // requests waited and none was answered; seen to a second
    std::uint64_t last_error_seconds = 0;  // age; 0: not known
    std::uint64_t in_flight = 0;           // requests that were sent and are not answered
    std::uint64_t in_flight_age_ms = 0;    // since when none was answered
    std::uint64_t cache_lost = 0;          // how often a server's machine restarted under unflushed writes
    std::uint64_t lease_seconds = 0;       // as granted; 4294967295: without an end
    std::uint64_t lease_left_seconds = 0;
    std::uint64_t lease_renewals = 0;
    std::uint64_t locked_kib = 0;  // the daemon's VmLck and VmRSS
    std::uint64_t resident_kib = 0;

    bool operator==(const DeviceStatus&) const = default;
};

[[nodiscard]] const char* word_of(DeviceState state) noexcept;
// For DeviceStatus::session.
[[nodiscard]] const char* fencing_word(bool session_known, bool host_fenced) noexcept;

// "key value" lines and an empty line at the end. A reader ignores keys that it does not know. Does not
// allocate: the daemon calls it after its seal.
using StatusLines = FixedText<8192>;
[[nodiscard]] StatusLines to_lines(const DeviceStatus& status);
[[nodiscard]] DeviceStatus from_lines(std::string_view lines);

// The public file, /run/holdfast/nbdN.status: for whoever may not ask the daemon. Holds no secret. Its first
// line is the daemon's heartbeat, a time of CLOCK_MONOTONIC in milliseconds, of a length that never changes.
using PublicLines = FixedText<1024>;
using HeartbeatLine = FixedText<32>;
[[nodiscard]] HeartbeatLine heartbeat_line(std::chrono::milliseconds now);
[[nodiscard]] PublicLines public_lines(const DeviceStatus& status, std::chrono::milliseconds now,
                                       std::chrono::milliseconds link_changed_at);
// What such a file proves. `alive`: its writer lives. Sets the state, and what else the file knows.
void take_public_lines(DeviceStatus& status, std::string_view lines, bool alive,
                       std::chrono::milliseconds now);

// For a person. Ends with a newline.
[[nodiscard]] std::string to_text(const DeviceStatus& status);
// One object, without a newline.
[[nodiscard]] std::string to_json(const DeviceStatus& status);

// A string literal of JSON: quoted and escaped. Bytes that are no UTF-8 become U+FFFD.

// "HAS_FLAGS SEND_FLUSH ...", in the words of the protocol without their prefix.
[[nodiscard]] std::string flag_words(std::uint64_t flags);
// "8.0 GiB", "512 B"
[[nodiscard]] std::string size_words(std::uint64_t bytes);
// "350 ms", "12.3 s", then as duration_words
[[nodiscard]] std::string short_duration_words(std::uint64_t milliseconds);
// "3 d 4 h", "5 min 2 s"
[[nodiscard]] std::string duration_words(std::uint64_t seconds);

}  // namespace holdfast::client
