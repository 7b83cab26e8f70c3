// Refuses to attach a disk for writing that this machine writes to already, through another nbd device: the
// kernel keeps a cache for each, and the one that is written back last destroys what the other wrote.
#pragma once

#include <expected>

#include "client/attach/report.hh"
#include "client/attach/search.hh"
#include "client/control/control.hh"

namespace holdfast::client {

// The error names the device that has the disk. Disks are known by the identity that their server states
// (session_option.hh); a server that states none is not judged. `block` is /sys/block, or a copy for tests.
[[nodiscard]] std::expected<void, Failure> refuse_second_writer(const Found& found,
                                                                const char* folder = run_directory,
                                                                const char* block = "/sys/block");

}  // namespace holdfast::client
