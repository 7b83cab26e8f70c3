// Runs one fdatasync at a time: of two concurrent calls the kernel would report a lost write to only one, and
// the other might answer its client before the loss is recorded.

#include "server/volume/flusher.hh"

#include <unistd.h>

#include <cerrno>

namespace holdfast::server {

void Flusher::flush(DiskLosses& losses) {
    std::unique_lock lock(mutex_);
    // An fdatasync in progress may have begun before the last write that this call must cover.
    const std::uint64_t wanted = begun_ + 1;
    while (done_ < wanted) {
        if (busy_) {
            turn_.wait(lock);
            continue;
        }
        busy_ = true;
        const std::uint64_t number = ++begun_;
        lock.unlock();
        int result = 0;
        do {
            result = ::fdatasync(file_.get());
        } while (result != 0 && errno == EINTR);
        if (result != 0) {
            losses.add(errno);
            // Ignores the result: a new error of this file is reported to file_, too.
            (void)::fdatasync(writers_file_);
        }
        lock.lock();
        done_ = number;
        busy_ = false;
        turn_.notify_all();
    }
}

}  // namespace holdfast::server
