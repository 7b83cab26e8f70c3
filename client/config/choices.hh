// What an administrator may choose about a device, as far as it was chosen in one place: on the command line,
// in an nbdroot= word, in a section of the configuration file. All three read a choice here, so that they
// cannot disagree about its name, its bounds or the words of a mistake. Pure; for before the daemon's seal.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "client/config/policy.hh"

namespace holdfast::client {

// Empty: nothing was said here. (The initializers let a test name the members that it means.)
struct Choices {
    std::optional<std::chrono::seconds> timeout = {};     // the kernel's timer for a request
    std::optional<std::chrono::seconds> dead_after = {};  // see Policy
    std::optional<std::chrono::seconds> probe = {};       // see Policy
    std::optional<std::chrono::seconds> wait = {};        // how long attaching is tried
    std::optional<std::uint32_t> connections = {};        // to one server at once
    std::optional<LostCache> lost_cache = {};
    std::optional<std::chrono::seconds> shutdown_timeout = {};  // see Policy
    std::optional<LeaseCare> lease = {};
    std::optional<std::uint32_t> block_size = {};  // 512, 1024, 2048 or 4096
    std::optional<bool> read_only = {};            // the block device itself

    bool operator==(const Choices&) const = default;
};

// Takes `value` for the choice of this name (timeout, dead-after, probe, wait, connections, lost-cache,
// shutdown-timeout, lease, block-size, read-only). False where there is no such choice. The error says what
// the value must be, as the end of a sentence: "takes a whole number of seconds from 3 to 3600, not 2".
[[nodiscard]] std::expected<bool, std::string> choose(Choices& choices, std::string_view name,
                                                      std::string_view value);

// What `above` says, and what `below` says where `above` says nothing.
[[nodiscard]] Choices over(const Choices& above, const Choices& below);

// With Policy's own values where nothing was chosen.
[[nodiscard]] Policy policy_of(const Choices& choices);
// With those of another policy.
[[nodiscard]] Policy changed(const Policy& policy, const Choices& choices);

// One line, in the words of the choices: "timeout 0 s, dead-after 15 s, ...".
[[nodiscard]] std::string describe(const Policy& policy);

}  // namespace holdfast::client
