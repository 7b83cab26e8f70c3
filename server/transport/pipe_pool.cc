// Creates a pipe if none is free, and keeps the pipe for later reads of any connection.

#include "server/transport/pipe_pool.hh"

#include <fcntl.h>
#include <unistd.h>

#include <utility>

namespace holdfast::server {
namespace {

// Exceeds longest_splice by a page: the first and the last page of a read may be partial.
constexpr int capacity = 256 << 10;

PipePool::Pipe make_pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return {};
    PipePool::Pipe pipe{Fd(ends[1]), Fd(ends[0])};
    if (::fcntl(pipe.in.get(), F_SETPIPE_SZ, capacity) < capacity) return {};
    return pipe;
}

}  // namespace

PipePool::Pipe PipePool::take() {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
        Pipe pipe = std::move(free_.back());
        free_.pop_back();
        return pipe;
    }
    if (open_ >= limit_ || Clock::now() < again_) return {};
    Pipe pipe = make_pipe();
    if (pipe.in) {
        ++open_;
    } else {
        again_ = Clock::now() + pause_;
    }
    return pipe;
}

void PipePool::give(Pipe pipe) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(pipe));
}

void PipePool::drop(Pipe pipe) {
    pipe = {};
    const std::lock_guard lock(mutex_);
    --open_;
}

}  // namespace holdfast::server
