// The pipe is made with the first use, and again after close().

#include "server/page_pipe.hh"

#include <fcntl.h>
#include <unistd.h>

namespace holdfast::server {

namespace {

// A page more than `most` has: the first and the last may be parts of pages. (pipe(7): what one user's pipes
// have in all is bounded, and an unprivileged user is refused beyond.)
constexpr int capacity = 256 << 10;

}  // namespace

bool PagePipe::open() {
    if (in_) return true;
    if (unavailable_) return false;
    int ends[2];
    unavailable_ = ::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0;
    if (unavailable_) return false;
    out_.reset(ends[0]);
    in_.reset(ends[1]);
    unavailable_ = ::fcntl(in_.get(), F_SETPIPE_SZ, capacity) < capacity;
    if (unavailable_) close();
    return !unavailable_;
}

void PagePipe::close() {
    in_.reset();
    out_.reset();
}

bool PagePipe::fill(const Volume& volume, std::uint64_t offset, std::size_t length) {
    if (length < least || length > most || !volume.is_in_memory(offset, length) || !open()) return false;
    if (volume.splice(in_.get(), offset, length)) return true;
    close();
    return false;
}

Result<void> PagePipe::send(int socket, std::size_t length) {
    while (length > 0) {
        const ssize_t sent = ::splice(out_.get(), nullptr, socket, nullptr, length, SPLICE_F_MOVE);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) {
            const SysError error{sent < 0 ? errno : EPIPE, "splice"};
            close();
            return std::unexpected(error);
        }
        length -= static_cast<std::size_t>(sent);
    }
    return {};
}

}  // namespace holdfast::server
