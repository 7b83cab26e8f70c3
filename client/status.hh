// What is known of a device, and its three spellings: lines between daemon and command, text for a person,
// JSON. Pure: no I/O, no clock.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::client {

enum class DeviceState : std::uint8_t {
    detached,      // the kernel has it not connected
    attached,      // the link is up
    reconnecting,  // the link is down; the daemon is at work on it
    unattended,    // the kernel has it connected, and no daemon of ours watches it
};

// `state` gives the rest its meaning: unattended knows size and block size only, detached nothing.
struct DeviceStatus {
    std::uint32_t index = 0;
    DeviceState state = DeviceState::detached;
    std::string server;      // the URI of the server in use, or last in use
    std::string peer;        // its address
    std::string identifier;  // BACKEND_IDENTIFIER
    std::string last_error;  // one line; empty when there was none
    std::uint64_t size = 0;
    std::uint64_t block_size = 0;
    std::uint64_t flags = 0;  // transmission flags as the server gave them
    bool read_only = false;
    std::uint64_t daemon_pid = 0;
    std::uint64_t attached_seconds = 0;  // since the device was attached
    std::uint64_t link_seconds = 0;      // since the link came up, or went down
    std::uint64_t reconnects = 0;
    std::uint64_t servers = 0;  // how many addresses the daemon tries in turn

    bool operator==(const DeviceStatus&) const = default;
};

[[nodiscard]] const char* word_of(DeviceState state) noexcept;

// "key value" lines and an empty line at the end. A reader ignores keys that it does not know.
[[nodiscard]] std::string to_lines(const DeviceStatus& status);
[[nodiscard]] DeviceStatus from_lines(std::string_view lines);

// For a person. Ends with a newline.
[[nodiscard]] std::string to_text(const DeviceStatus& status);
// One object, without a newline.
[[nodiscard]] std::string to_json(const DeviceStatus& status);

// A string literal of JSON: quoted and escaped. Bytes that are no UTF-8 become U+FFFD.
[[nodiscard]] std::string json_string(std::string_view text);

// "HAS_FLAGS SEND_FLUSH ...", in the words of the protocol without their prefix.
[[nodiscard]] std::string flag_words(std::uint64_t flags);
// "8.0 GiB", "512 B"
[[nodiscard]] std::string size_words(std::uint64_t bytes);
// "3 d 4 h", "5 min 2 s"
[[nodiscard]] std::string duration_words(std::uint64_t seconds);

}  // namespace holdfast::client
