// Refuses to attach a disk for writing if this machine already writes to that disk through another nbd
// device: the kernel keeps a separate cache for each device, and the later write-back destroys the other
// device's writes.
#pragma once

#include <chrono>
#include <expected>

#include "client/attach/child_report.hh"
#include "client/attach/server_search.hh"
#include "client/control/run_directory.hh"
#include "common/linux/fd.hh"

namespace holdfast::client {

struct WriterPlaces {
    const char* folder = run_directory;
    const char* block = "/sys/block";
    // Maximum wait for another attach of the same disk to finish; each needs moments from here to its record.
    std::chrono::milliseconds patience{30'000};
};

// Returns a lock that the caller holds until its device's record is written, so that of two concurrent
// attaches the second sees the first device. The error names the device that has the disk. Disks are compared
// by the identity that their server reports (session_option.hh); without a reported identity there is no
// check, and the lock is empty. Blocks for at most `patience`. The folder must exist.
[[nodiscard]] std::expected<Fd, Failure> take_writers_turn(const Found& found,
                                                           const WriterPlaces& places = {});

}  // namespace holdfast::client
