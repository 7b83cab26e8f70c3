// Devices of this boot that were detached by force. A server that hangs, or a network that delays, may still
// hold writes of such a device, and could apply them after those of a new attachment. The server itself
// fences an older attachment only under the same device number (session_option.hh); so the record of the
// device is kept as /run/holdfast/nbdN-*.given-up, and before the same disk is attached under any number, its
// server is made to end that session.
#pragma once

#include <chrono>
#include <expected>

#include "client/attach/report.hh"
#include "client/attach/search.hh"
#include "client/control/control.hh"
#include "client/control/record.hh"

namespace holdfast::client {

// Before a disk that was found is attached for writing: claims the session of each device that was given up
// and that had the same disk from the same boot of the same server machine, which fences its old connections,
// and deletes its record. An error where the server does not confirm it: old writes could still come. A
// record of another server, or of another disk, stays.
[[nodiscard]] std::expected<void, Failure> fence_given_up(const Found& found, std::chrono::seconds dead_after,
                                                          const char* folder = run_directory);

}  // namespace holdfast::client
