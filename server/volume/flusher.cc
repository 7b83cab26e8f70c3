// One fdatasync at a time: of two at once the kernel would tell one of a lost write, and the other might
// answer its client before that one has noted it.

#include "server/volume/flusher.hh"

#include <unistd.h>

#include <cerrno>

namespace holdfast::server {

void Flusher::flush(DiskLosses& losses) {
    std::unique_lock lock(mutex_);
    // One that runs already may have begun before the last write that this call has to cover.
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
            // Not asked for its answer: what is new in it is told to file_ too.
            (void)::fdatasync(writers_file_);
        }
        lock.lock();
        done_ = number;
        busy_ = false;
        turn_.notify_all();
    }
}

}  // namespace holdfast::server
