// Child process that becomes a device's daemon; the command waits for its report (child_report.hh).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <expected>
#include <functional>
#include <string_view>

#include "client/attach/child_report.hh"
#include "client/process/exit_code.hh"

namespace holdfast::client {

// Receives lines for the user: progress and errors.
using Notes = std::function<void(std::string_view line, bool is_error)>;

// Work of the child. Returns only on failure, or when its daemon has ended.
using BackgroundWork = std::function<std::expected<void, Failure>(Report& report)>;

struct Ready {
    std::uint32_t index = 0;
    std::uint64_t size = 0;
    std::uint64_t request_limit = 0;  // bytes; 0: nothing to set
    pid_t daemon = 0;
};

// Returns when the daemon runs, by then a child of process 1, or after reporting a failure through `notes`.
[[nodiscard]] std::expected<Ready, ExitCode> run_in_background(const BackgroundWork& work,
                                                               const Notes& notes);

}  // namespace holdfast::client
