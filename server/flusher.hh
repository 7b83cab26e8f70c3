// Flushes of one volume, many at a time: those that wait together are carried out by one.
// They have an open file of their own. Linux tells of a lost write once for each open file, so a write with
// RWF_DSYNC, which is told too, cannot take the news away from a flush that runs beside it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>

#include "common/linux/fd.hh"
#include "server/losses.hh"

namespace holdfast::server {

class Flusher {
public:
    explicit Flusher(Fd file) : file_(std::move(file)) {}

    // When it returns, everything written before the call, by anyone, is on stable storage, or the losses have
    // one more. Blocks.
    void flush(DiskLosses& losses);

private:
    Fd file_;
    std::mutex mutex_;
    std::condition_variable turn_;
    bool busy_ = false;
    std::uint64_t begun_ = 0;  // fdatasyncs
    std::uint64_t done_ = 0;
};

}  // namespace holdfast::server
