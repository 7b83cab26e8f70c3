// Flushes of a volume: concurrent callers share an fdatasync.
// The flusher has its own open file description. Linux reports a lost write once per open file description,
// so a write with RWF_DSYNC, which also gets the report, cannot take the report from a concurrent flush.
// After a flush reports an error on its own file, the other file is synced as well, so that the same loss is
// not reported later as a new loss.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>

#include "common/linux/fd.hh"
#include "server/volume/lost_writes.hh"

namespace holdfast::server {

class Flusher {
public:
    // `writers_file` is the volume's other open file, which must outlive this object.
    Flusher(Fd file, int writers_file) : file_(std::move(file)), writers_file_(writers_file) {}

    // Blocks until everything written before the call, by any client, is on stable storage; otherwise adds a
    // loss to `losses`.
    void flush(DiskLosses& losses);

private:
    Fd file_;
    const int writers_file_;
    std::mutex mutex_;
    std::condition_variable turn_;
    bool busy_ = false;
    std::uint64_t begun_ = 0;  // number of fdatasync calls begun
    std::uint64_t done_ = 0;
};

}  // namespace holdfast::server
