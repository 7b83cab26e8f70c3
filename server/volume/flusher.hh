// Flushes of one volume, many at a time: those that wait together are carried out by one.
// They have an open file of their own. Linux tells of a lost write once for each open file, so a write with
// RWF_DSYNC, which is told too, cannot take the news away from a flush that runs beside it. What one of the
// two files has told is then asked of the other as well, so that it does not come up later, as if it were
// new.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>

#include "common/linux/fd.hh"
#include "server/volume/losses.hh"

namespace holdfast::server {

class Flusher {
public:
    // `writers_file` is the volume's other open file, and outlives this.
    Flusher(Fd file, int writers_file) : file_(std::move(file)), writers_file_(writers_file) {}

    // When it returns, everything written before the call, by anyone, is on stable storage, or the losses
    // have one more. Blocks.
    void flush(DiskLosses& losses);

private:
    Fd file_;
    const int writers_file_;
    std::mutex mutex_;
    std::condition_variable turn_;
    bool busy_ = false;
    std::uint64_t begun_ = 0;  // fdatasyncs
    std::uint64_t done_ = 0;
};

}  // namespace holdfast::server
