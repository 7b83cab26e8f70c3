// A pipe is made when none is free, and kept for the next read, of any connection.

#include "server/page_pipe.hh"

#include <fcntl.h>
#include <unistd.h>

#include <utility>

namespace holdfast::server {

namespace {

// A page more than `most` has: the first and the last may be parts of pages.
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
    if (open_ >= limit_ || std::chrono::steady_clock::now() < again_) return {};
    Pipe pipe = make_pipe();
    if (pipe.in) {
        ++open_;
    } else {
        again_ = std::chrono::steady_clock::now() + pause_;
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

void PagePipe::drop() {
    if (pipe_.in) pool_.drop(std::exchange(pipe_, {}));
}

bool PagePipe::fill(const Volume& volume, std::uint64_t offset, std::size_t length) {
    if (length < least || length > most || !volume.is_in_memory(offset, length)) return false;
    pipe_ = pool_.take();
    if (!pipe_.in) return false;
    if (volume.splice(pipe_.in.get(), offset, length)) return true;
    drop();
    return false;
}

Result<void> PagePipe::send(int socket, std::size_t length) {
    while (length > 0) {
        const ssize_t sent = ::splice(pipe_.out.get(), nullptr, socket, nullptr, length, SPLICE_F_MOVE);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) {
            const SysError error{sent < 0 ? errno : EPIPE, "splice"};
            drop();
            return std::unexpected(error);
        }
        length -= static_cast<std::size_t>(sent);
    }
    pool_.give(std::exchange(pipe_, {}));
    return {};
}

}  // namespace holdfast::server
