// The administrator's choices for a device from a single source: the command line, an nbdroot= word, a line
// of the table of devices, or a section of the configuration file. All sources are parsed here, so that they
// agree on each choice's name, limits and error text. Pure; use only before the daemon's seal.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "client/config/policy.hh"

namespace holdfast::client {

// Empty members: not chosen here. (The initializers let a test name only the members it sets.)
struct Choices {
    std::optional<std::chrono::seconds> timeout = {};     // the kernel's timer for a request
    std::optional<std::chrono::seconds> dead_after = {};  // see Policy
    std::optional<std::chrono::seconds> probe = {};       // see Policy
    std::optional<std::chrono::seconds> wait = {};        // time limit for attaching
    std::optional<std::uint32_t> connections = {};        // simultaneous connections to a server
    std::optional<LostCache> lost_cache = {};
    std::optional<std::chrono::seconds> shutdown_timeout = {};  // see Policy
    std::optional<LeaseCare> lease = {};
    std::optional<std::uint32_t> block_size = {};  // 512, 1024, 2048 or 4096
    std::optional<bool> read_only = {};            // read-only block device

    bool operator==(const Choices&) const = default;
};

// Sets the choice `name` (option_table.hh) to `value`. Returns false for an unknown name. The error states
// the valid values as the end of a sentence: "takes a whole number of seconds from 3 to 3600, not 2".
[[nodiscard]] std::expected<bool, std::string> choose(Choices& choices, std::string_view name,
                                                      std::string_view value);

// Returns the values of `preferred`, and those of `fallback` where `preferred` is empty.
[[nodiscard]] Choices merged(const Choices& preferred, const Choices& fallback);

// Returns the policy, with Policy's defaults for empty choices.
[[nodiscard]] Policy policy_of(const Choices& choices);
// Returns `policy` with the choices applied.
[[nodiscard]] Policy changed(const Policy& policy, const Choices& choices);

// Returns a line in the words of the choices: "timeout 0 s, dead-after 15 s, ...".
[[nodiscard]] std::string describe(const Policy& policy);

}  // namespace holdfast::client
