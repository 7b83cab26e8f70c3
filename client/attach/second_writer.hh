// Refuses to attach a disk for writing that this machine writes to already, through another nbd device: the
// kernel keeps a cache for each, and the one that is written back last destroys what the other wrote.
#pragma once

#include <chrono>
#include <expected>

#include "client/attach/report.hh"
#include "client/attach/search.hh"
#include "client/control/control.hh"
#include "common/linux/fd.hh"

namespace holdfast::client {

struct WriterPlaces {
    const char* folder = run_directory;
    const char* block = "/sys/block";
    // For another attach to finish; each takes moments from here to its record.
    std::chrono::milliseconds patience{30'000};
};

// A turn that the caller holds until the record of its device is written, so that of two attaches at once the
// second one sees the first one's device. The error names the device that has the disk. Disks are known by
// the identity that their server states (session_option.hh); a server that states none is not judged, and
// then the turn is empty. Blocks for `patience` at most. The folder must exist.
[[nodiscard]] std::expected<Fd, Failure> take_writers_turn(const Found& found,
                                                           const WriterPlaces& places = {});

}  // namespace holdfast::client
