// A child process that becomes a device's daemon, and the command that waits for its word (report.hh).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <expected>
#include <functional>
#include <string_view>

#include "client/attach/report.hh"
#include "client/process/exit_code.hh"

namespace holdfast::client {

// Takes a line for the person who waits: what is being done, and what failed.
using Notes = std::function<void(std::string_view line, bool is_error)>;

// What the child does. It comes back only with what failed, or when its daemon has come to its end.
using BackgroundWork = std::function<std::expected<void, Failure>(Report& report)>;

struct Ready {
    std::uint32_t index = 0;
    std::uint64_t size = 0;
    std::uint64_t request_limit = 0;  // bytes; 0: nothing to be done
    pid_t daemon = 0;
};

// Returns when the daemon is there, a child of process 1 by then, or with what failed already said through
// `notes`.
[[nodiscard]] std::expected<Ready, ExitCode> run_in_background(const BackgroundWork& work,
                                                               const Notes& notes);

}  // namespace holdfast::client
