// Devices of this boot that were detached by force. A hanging server, or a delaying network, may still hold
// writes of such a device, and could apply them after the writes of a new attachment. The server itself
// fences an older attachment only under the same device number (session_option.hh). So the device's record is
// kept as /run/holdfast/nbdN-*.given-up, and before the same disk is attached under any number, that session
// is fenced at its server.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <string>

#include "client/attach/child_report.hh"
#include "client/attach/server_search.hh"
#include "client/control/device_record.hh"
#include "client/control/run_directory.hh"

namespace holdfast::client {

// Time for the server's confirmation at the next attach, and at once.
inline constexpr std::chrono::seconds attach_fence_patience{10};
inline constexpr std::chrono::seconds detach_fence_patience{3};

// Call before a disk is attached for writing. Claims the session of each given-up device that had the same
// disk from the same boot of the same server machine, which fences its old connections, and deletes its
// record. Repeats a failed claim within `patience`. Fails if the server does not confirm: old writes could
// still arrive. Records of other servers or disks stay.
[[nodiscard]] std::expected<void, Failure> fence_given_up(
    const Found& found, std::chrono::milliseconds patience = attach_fence_patience,
    const char* folder = run_directory);

// True if a record of this attachment was kept.
[[nodiscard]] bool is_given_up(std::uint32_t index, const std::string& identifier,
                               const char* folder = run_directory);

// Call after a device was detached by force. Does the same at once with the server of its link: the disk's
// next user may be another machine, or none for long. Returns an empty text if the server has confirmed it,
// or if there is no record; else the problem with its remedy, and the record stays for fence_given_up().
[[nodiscard]] std::string fence_released(std::uint32_t index, const std::string& identifier,
                                         std::chrono::milliseconds patience = detach_fence_patience,
                                         const char* folder = run_directory);

}  // namespace holdfast::client
